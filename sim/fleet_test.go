package sim

import (
	"bytes"
	"net"
	"testing"
	"time"
)

// TestFleet: centers whose city dies and comes back, with and without history that
// waits. How fast they are back is for people to judge; the books must balance.
func TestFleet(t *testing.T) {
	for _, test := range []struct {
		name  string
		fleet *Fleet
		least int // events of the backlog
	}{
		{"live before", &Fleet{Centers: 12, Outage: 3 * time.Second, PerDay: 100_000}, 12},
		{"with a backlog", &Fleet{Centers: 4, Outage: time.Second, PerDay: 240, Backlog: 10 * time.Hour}, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			f := test.fleet
			f.Dir, f.Out = t.TempDir(), &out
			r, err := f.Run(t.Context())
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			t.Logf("%+v", *r)
			if !r.OK() || r.Stored != r.Accepted {
				t.Errorf("books do not balance: %+v", *r)
			}
			if r.Backlog < test.least || r.Alarms == 0 || r.LiveAgain <= 0 || r.BacklogStored <= 0 || r.AlarmFirst <= 0 || r.AlarmLast < r.AlarmFirst {
				t.Errorf("report lacks something: %+v", *r)
			}
			if r.ConnectBurst < 1 || r.ConnectBurst > r.AttemptBurst || r.Attempts < 1 {
				t.Errorf("%d connections in a second, %d attempts in a second, %d attempts in the outage: impossible", r.ConnectBurst, r.AttemptBurst, r.Attempts)
			}
		})
	}
}

func TestFleetSaysWhatIsWrong(t *testing.T) {
	for name, f := range map[string]*Fleet{
		"too many centers": {Centers: 5000},
		"too many alarms":  {Centers: 2, Alarms: 3},
		"no port":          {Broker: "mqtt://127.0.0.1"},
		"not mqtt":         {Broker: "http://127.0.0.1:1883"},
	} {
		f.Dir, f.Out = t.TempDir(), &bytes.Buffer{}
		if _, err := f.Run(t.Context()); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFleetMissed(t *testing.T) {
	good := FleetReport{LiveAgain: 60, ConnectBurst: 20, BacklogStored: 600, Accepted: 1}
	if missed := good.Missed(); len(missed) != 0 || !good.OK() {
		t.Errorf("missed %q of goals that were reached", missed)
	}
	bad := FleetReport{LiveAgain: 60.1, ConnectBurst: 21, BacklogStored: 600.1, Lost: 1, Accepted: 1}
	if missed := bad.Missed(); len(missed) != 3 || bad.OK() {
		t.Errorf("missed only %q", missed)
	}
}

// TestDialBookCountsBursts: in any one second, not in those of the clock.
func TestDialBookCountsBursts(t *testing.T) {
	begin := time.Now()
	at := func(ms int, admitted bool) visit {
		return visit{begin.Add(time.Duration(ms) * time.Millisecond), admitted}
	}
	d := &dialBook{tries: []visit{at(100, false), at(900, true), at(1000, true), at(1850, true), at(1899, false), at(1950, true)}}
	if got := d.burst(true); got != 3 {
		t.Errorf("burst of admitted: got %d, want 3", got)
	}
	if got := d.burst(false); got != 4 {
		t.Errorf("burst of all: got %d, want 4", got)
	}
	d.mark()
	if got := d.burst(false) + d.attempts(); got != 0 {
		t.Errorf("after mark: got %d, want 0", got)
	}
}

// TestDialBookTellsRefusedFromAdmitted: what listens decides.
func TestDialBookTellsRefusedFromAdmitted(t *testing.T) {
	address, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	var d dialBook
	if conn, err := d.dial(t.Context(), address); err == nil {
		conn.Close()
		t.Error("nobody listens, and yet it connects")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := d.dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if d.attempts() != 2 || d.burst(true) != 1 || d.burst(false) != 2 {
		t.Errorf("%d attempts, %d admitted, want 2 and 1", d.attempts(), d.burst(true))
	}
}
