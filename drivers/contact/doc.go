// Package contact reads dry contacts on the board's GPIO lines: door reeds,
// panic buttons, detector and tamper loops, mains relays.
//
// # Wiring
//
// The contact sits between its terminal and GND, with the line pulled up: a
// closed circuit is Low. With Pull set to PullDown it sits between the terminal
// and the board's logic supply, and closed is High. A normally open contact
// ([Input].NormallyClosed false) is Active when closed; a normally closed one is
// Active when open, so that a cut wire is an alarm and not a silence. Loops that
// guard people are wired normally closed.
//
// # Timing
//
// The level is the truth, an edge only a hint to look: kernels and expanders
// coalesce and drop edges. Every line is read after each edge, and at least
// every [Options].Poll (250 ms) without one, so a lost edge costs at most Poll.
//
// A level counts once it was stable for [Input].Debounce (50 ms). Ganssle, "A
// Guide to Debouncing" (2004), measured 18 kinds of switches: bounce of 1.6 ms
// on average and 6.2 ms at most, with one exception of 157 ms; makers of reed
// contacts give under 1 ms. The rest of the 50 ms is for doors that rattle in
// their frame.
//
// An [Input].Urgent point doesn't wait: the first look that finds it Active is
// emitted at once. Its return to Normal takes Debounce like any other.
//
// A pulse that is over before the line is read has made edges, but the level is
// Normal: it is counted as a short pulse in Detail and not emitted, even on an
// urgent point. Interference on a long cable looks like this, a finger doesn't: a
// press lasts 50 ms, the read after an edge comes within one.
//
// A line that finds no rest for [Restless] is emitted as Fault, unless it is an
// alarm already.
// A line that can't be read is emitted as Unknown and ends Run.
package contact
