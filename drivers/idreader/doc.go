// Package idreader watches the module that reads identity cards (居民身份证阅读机具)
// in a kiosk or at a window: whether it is alive, and how often a card was laid
// on it. It never reads a card.
//
// # What it does not do
//
// A module hands out a person's name, number and photograph to whoever asks with
// commands 30 xx, after 20 02 has chosen a card. This package knows neither: the
// only two requests it can build are the module's own status, 11 FF, and "is there
// a card", 20 01. An answer that is longer than theirs is not kept, and what they
// carry besides three status bytes is not looked at.
//
// # Wire
//
// 115200 8N1, request and answer in frames, after the serial protocol of SDT/SAM
// modules that readers of all makers share:
//
//	AA AA AA 96 69 | length, high byte first | payload | exclusive or
//
// The length counts the payload and the last byte, which is the exclusive or of
// everything behind the 69. The payload of a request is a command and a parameter,
// that of an answer begins with three status bytes.
//
// A reader that hangs on the kiosk's own computer is the kiosk's to report.
package idreader
