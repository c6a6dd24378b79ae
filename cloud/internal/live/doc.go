// Package live folds what boards say into what each center looks like now.
//
// # Sources
//
// A [View] is fed with three things: statuses as they arrive from the broker
// ([View.ApplyStatus]), events after the store has committed them
// ([View.ApplyEvents]), and what the city holds of each stream
// ([View.ApplyStreams]). A status tells the present, an event tells history:
// an event changes a point only when it is provably younger than the status
// that the point is known from, which is when both are of one boot of the board
// and the event's monotonic time is the greater. Wall clocks of boards order
// nothing here; they may say 1970.
//
// # How old the present is
//
// A board sends its points when one of them changes, and every five minutes;
// between that only short heartbeats, which leave everything out that did not
// change. So the view keeps two times apart:
//
//   - [Point].AsOf and Age are of the last good reading that the city was told of.
//     They grow between full statuses: no heartbeat makes a reading younger.
//   - [Center].AsOf is when the board was last heard to vouch for what is shown: a
//     heartbeat says that nothing changed up to then. A point that its board can't
//     read any more is a change, and comes as a full status.
//
// The numbers of the statuses tell whether one is missing. Until the next full one
// Center.AsOf then stands still, for the missing one may have told of a change; and
// a full status that comes late is taken for what it is. Points of a session that
// has not told of them yet are unknown.
//
// # Liveness
//
// A center is online, stale, offline or unknown, each with a [Cause] and the
// time since when. Only a live status (not a retained one) of a session that
// has not been superseded makes a center online. Silence makes it stale and
// then offline, by the city's own clock, and only while the city listened: see
// [View.ApplyBroker]. A will makes it offline when it is of the known session.
// What a broker retained from before the city's start proves nothing about now:
// such a center is unknown until a live heartbeat. Committed events of the known
// epoch keep an online or stale center from aging, since a thin link may be busy
// with its backlog, but never make a center online.
//
// What happens to many centers at once is told once, as an [Incident].
//
// # Concurrency
//
// All methods of View and Subscription may be called from any goroutine. One
// mutex guards the view; nothing blocks while it is held, and subscribers are
// notified by a mark in a bounded queue of their own. What Snapshot, Center,
// Since and Take return is a copy that belongs to the caller.
package live
