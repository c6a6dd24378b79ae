package live

// State is what a center's link is known to be. The zero value is no state;
// a View never returns it.
type State string

// The states of a center.
const (
	Online  State = "online"  // a live word came within StaleAfter
	Stale   State = "stale"   // a heartbeat is overdue
	Offline State = "offline" // silent for OfflineAfter, or a valid will came
	Unknown State = "unknown" // nothing live heard since the city's start, or since its own link broke
)

// States lists all states, most worrying first.
var States = [...]State{Offline, Unknown, Stale, Online}

// there reports whether a center counts as being there.
func (s State) there() bool { return s == Online || s == Stale }

// Cause is why a center is in its state.
type Cause string

// The causes.
const (
	CauseLive         Cause = "live"          // online: a live status arrived
	CauseSilent       Cause = "silent"        // stale, offline: nothing was heard for too long
	CauseWill         Cause = "will"          // offline: the broker lost the board's connection
	CauseLeft         Cause = "left"          // offline: the board said that it leaves
	CauseCityLink     Cause = "city-link"     // stale, unknown: the city lost its own broker and has not heard since
	CauseNever        Cause = "never"         // unknown: no status heard at all
	CauseRetained     Cause = "retained"      // unknown: only a retained "online" of before
	CauseRetainedWill Cause = "retained-will" // unknown: only a retained will of before
)
