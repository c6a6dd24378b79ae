// Package kioskpc hears from the programs of kiosks and queue machines: that they
// run, what is wrong with them, and how much they did today. There is no standard
// for this; the protocol is our own, HTTP on the center's network, small enough
// for a batch file.
//
//	POST /v1/heartbeat   {"id":"kiosk-1","seq":17,"uptime":3600,"status":"ok"}
//	POST /v1/counters    {"id":"queue-1","seq":18,"day":"2026-11-23","counters":{"tickets":31}}
//
// Both carry "Authorization: Bearer" and the token that the board was given. The
// answer is 204 once what follows is on the board's disk, and not before: a
// program that hears anything else sends the same again, with the same seq, and it
// counts once.
//
// A status is "ok" or "fault", and a fault has a "code" of a-z, 0-9 and -: what a
// clerk would write on a note, like "card-reader" or "network". Nothing else is
// taken. A body with any other field is refused, so that no name and no number of
// a person can be in one.
//
// A program that is silent for longer than Config.Silence is unknown.
package kioskpc
