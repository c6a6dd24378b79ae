// Package sim stands in for all hardware and for bad days: simulated centers
// behind pseudo-terminals or in memory, links that drop, agents that are
// killed, and the bookkeeping that tells whether anything was lost.
//
// It may import everything; nothing imports it.
package sim
