package sim

import (
	"math/rand/v2"
	"testing"

	"github.com/longan-edge/longan"
)

// TestCrash plays a short crash matrix with real agent processes. The long one
// is part of make bench.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("real processes for half a minute; run without -short")
	}
	c := &Crash{Rounds: 60, Seed: 7, Dir: t.TempDir(), Out: t.Output()}
	r, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *r)
	if !r.OK() {
		t.Errorf("books do not balance: %+v", *r)
	}
	if len(r.Damages) < 3 || r.Ends["random moment"] == 0 || r.Accepted < 1000 {
		t.Errorf("the run says too little: %+v", *r)
	}
}

// TestCrashBooksCanFail shows what the books take for a loss, and what not.
func TestCrashBooksCanFail(t *testing.T) {
	have := &stored{
		events: map[eventKey]string{
			{"e1", "state", 1}: "door.opened p1",
			{"e1", "state", 9}: longan.SpoolGap + " ",
		},
		holes: []hole{{"e1", "state", 5, 8}},
		recovered: []recovered{{Exact: false, Epochs: []recoveredEpoch{
			{Epoch: "e2", Lanes: map[string]recoveredLane{"state": {Last: 20}}},
		}}},
	}
	for _, c := range []struct {
		key      eventKey
		reported bool
	}{
		{eventKey{"e1", "state", 2}, false}, // simply not there
		{eventKey{"e1", "state", 5}, true},  // in a hole
		{eventKey{"e1", "state", 8}, true},  // at its end
		{eventKey{"e1", "state", 9}, true},  // where the gap event stands
		{eventKey{"e1", "state", 10}, false},
		{eventKey{"e1", "alarm", 5}, false},  // of another lane
		{eventKey{"e2", "state", 20}, false}, // known to have been given out: a hole must tell
		{eventKey{"e2", "state", 21}, true},  // may have been given out
		{eventKey{"e3", "state", 21}, false}, // of an epoch nobody spoke of
	} {
		if got := have.reported(c.key); got != c.reported {
			t.Errorf("%v: reported %v, want %v", c.key, got, c.reported)
		}
	}
	b := &crashBoard{accepted: map[eventKey]string{
		{"e1", "state", 1}: "door.opened p1", {"e1", "state", 2}: "door.closed p1", {"e1", "state", 6}: "door.opened p1",
	}}
	if got := b.missing(have); got != 1 {
		t.Errorf("%d events missing, want 1", got)
	}
}

func TestDamagesDamage(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, d := range damages {
		if d.do == nil {
			continue
		}
		content := make([]byte, 5*4096)
		for i := range content {
			content[i] = 'x'
		}
		if got := d.do(rng, append([]byte(nil), content...)); string(got) == string(content) {
			t.Errorf("%s changes nothing", d.name)
		}
		d.do(rng, nil) // a file that was never written to
	}
}
