package brokers

import (
	"errors"
	"flag"
	"os"
	"slices"
	"testing"
)

// TestMain lets more cases run at once than there are processors: they wait
// more than they compute, for links that come back.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		f.Value.Set("8")
	}
	os.Exit(m.Run())
}

// cases are what every broker must get through, with several boards in the
// middle of sending.
var cases = []struct {
	name string
	run  func(t *testing.T, s *system)
	only []Kind // empty is all
}{
	{name: "delivers in order", run: delivers},
	{name: "will and retained status", run: tellsStatus},
	{name: "broker killed", run: killBroker},
	{name: "broker wiped", run: wipeBroker, only: []Kind{Mosquitto, NATS}},  // the embedded one keeps nothing
	{name: "bridge killed", run: killBridge, only: []Kind{Mosquitto, NATS}}, // the embedded one is killed with it
	{name: "two bridges", run: twoBridges, only: []Kind{Mosquitto, NATS}},   // the embedded one has its own
	{name: "acks refused", run: refusesAcks, only: []Kind{Mosquitto, NATS}}, // the embedded one allows boards theirs
}

// TestBrokers: any MQTT 3.1.1 broker will do. At the end of each case the
// city's store holds every event that the boards accepted, exactly once, and the
// boards have freed them all.
func TestBrokers(t *testing.T) {
	bin := t.TempDir()
	bridge := program(t, Embedded, bin)
	for _, kind := range Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			path := bridge
			if kind != Embedded {
				path = program(t, kind, bin)
			}
			for _, c := range cases {
				if len(c.only) > 0 && !slices.Contains(c.only, kind) {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(t, newSystem(t, kind, path, bridge))
				})
			}
		})
	}
}

// program finds a broker. Without it the test is skipped, but not where
// LONGAN_CI says that everything must be there.
func program(t *testing.T, kind Kind, bin string) string {
	t.Helper()
	path, err := Find(t.Context(), kind, bin)
	if errors.Is(err, ErrMissing) && os.Getenv("LONGAN_CI") == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
