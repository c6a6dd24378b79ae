// Package video watches whether a camera or a video-conference terminal on the
// center's network is alive: it connects over TCP and asks an RTSP server for its
// OPTIONS (RFC 2326, section 10.1). It does nothing more: it logs in nowhere and
// fetches no picture and no sound.
//
// An answer of any kind shows that the server lives, 401 Unauthorized as well;
// only one of 500 and above, but for those that say that OPTIONS is not known
// (501, 505, 551), means that it does not serve. Where there is no RTSP, as at a
// terminal of SIP or H.323, a connection that is accepted must do.
//
// # Timing
//
// It asks every 10 s, over a new connection each time. Where it fails it tries
// twice more, a second apart, and then gives up: a camera is found dead within
// 22 s.
package video
