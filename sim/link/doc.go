// Package link models a thin, dying link between a board and the city, as TCP
// over a mobile network shows it to the programs at both ends. There is one
// model with two ways in: connections in memory ([Link.Dial], [Link.Pair]), which
// work in a testing/synctest bubble, and a TCP proxy on loopback ([Proxy]) for
// real processes.
//
// # The model
//
// What is written goes into a send buffer of 64 KiB; a writer waits while it is
// full. Segments of up to 1400 bytes leave it one after the other as fast as the
// bandwidth allows, which all connections of a link share, and arrive after
// latency and jitter, in order. A segment that is lost is sent again after the
// retransmission timeout of RFC 6298, which doubles up to two minutes, and all
// behind it waits. A reader that does not read closes a window of 64 KiB. Bytes
// stay in the send buffer until their acknowledgement is back; when the way back
// is a black hole, nothing new is sent one timeout later, as by a real TCP. After
// 15 minutes without any success the sender is told (ETIMEDOUT), as by Linux with
// tcp_retries2 = 15. Whoever sends to an end that is closed gets ECONNRESET.
//
// What it leaves out: slow start and congestion control, fast retransmits (so
// that a loss costs more here than on a link that is busy), tail loss probes, and
// the bandwidth that acknowledgements take.
//
// In a bubble everything is the same for the same seed, as long as no two
// connections of a link are busy at once.
package link
