// Package osdp talks to card readers with keypads: the control panel (ACU) of
// SIA OSDP v2.2 (IEC 60839-11-5) on an RS-485 line. Section numbers in this
// package are those of the SIA text.
//
// It asks ID, CAP, POLL, LSTAT and ISTAT, switches LEDs and buzzers, and takes
// cards (RAW) and keys (KEYPAD). It changes nothing in a reader for good: neither
// its address and speed (COMSET) nor its key (KEYSET).
//
// # What leaves it
//
// A card is emitted as access.card, with a keyed hash of its bits, their number
// and whether their parity is right; keys as access.keys, with how many there
// were and not which. The digits are overwritten once counted. No number is in an
// error or a detail. The reading is emitted, and so on disk, before the next
// command confirms the card to the reader. A card that lies on the reader, which
// tells it again and again, is one until it was away for 3 s.
//
// # Secure channel
//
// Annex D: AES-128 with a base key of each reader's own, session keys from random
// numbers of both sides, and a MAC on every message that is chained to the one
// before. Once a channel is there, nothing outside it is believed; a message that
// is replayed, left out or changed ends it, and the panel begins again.
//
// The default key SCBK-D is printed in the standard. With it everybody on the
// line reads along, so it takes the installation flag, and then each session
// says so: in the detail of the reader's point, and once as reader.insecure. A
// reader that has no secure channel at all must be marked plain, and is told of
// in the same way. A reader with neither key nor flag is refused.
//
// # Timing
//
// Each online reader gets one command every [Config].Poll (100 ms), in turn, so a
// card is seen within that. It has [Reader].Timeout (200 ms; 5.7) to begin its
// answer. A command without a good answer is repeated in the reader's next turns,
// byte for byte and with the same number, so that a reader that did hear it does
// not do it twice. After Retries (2) repeats the reader is lost, and tried once
// every two seconds while others of its Panel talk: a silent reader costs the
// others a tenth of their turns.
//
// A reader that is busy may be so for 3 s. Tamper, power and inputs are asked for
// every second, beside what the reader tells by itself.
//
// # Layers
//
// frame.go, secure.go, handshake.go and message.go are the bytes, pure functions;
// wire is the panel's end of the line; [Line] gives it to one at a time; session
// is the talk with one reader, with its sequence numbers and its channel; station
// is what is known of it; [Panel] is the driver. One Panel may have all readers of
// a line, or each reader a Panel of its own on a common Line: then each is a
// peripheral that fails by itself.
package osdp
