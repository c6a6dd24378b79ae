// Package spool is the board's durable buffer: one bbolt file that keeps every
// event from the moment it is accepted until the city has acknowledged it.
//
// # The promise
//
// Append returns nil after the commit that holds the events is on the disk
// (fsync). Events of a lane are numbered 1, 2, 3 … in the order they are read and
// sent. They leave by Free, which only the uplink calls on the city's ack, or by
// being given up when the budget is spent or their bytes are damaged; then a
// spool.gap event stands in their place and is sent in their turn.
//
// # In the file
//
// There is one bucket, so that a lone event changes as few pages as bbolt
// allows: its leaf, the bucket's entry, and a meta page. Its keys, in order:
//
//	0x01                            the head: epoch, its stream, number of the run
//	0x02 stream (2), lane           a block: everything up to its seq is acknowledged
//	0x03 key                        the state that freed events left under the key,
//	                                and when (run, ordinal)
//	0x04 stream (2)                 the epoch of an earlier stream, and its last numbers
//	0x10 stream (2), lane, seq (8)  a block of events, or a gap
//	0xff                            the last numbers of the epoch that is being written
//
// A commit makes one block a lane, compressed, or several of some 8 KiB of JSON:
// of larger ones bbolt would put two into three pages, and write them again with
// the next commit. An outage of 100,000 events is some 4,000 blocks. A block carries its
// own epoch, numbers and checksum: bbolt has none for data pages, and when its
// tree is damaged a search through the raw bytes still finds every block. An ack
// inside a block only moves a number; the block goes when all of it is
// acknowledged. The newest block of a lane stays even then: it carries the lane's
// last number, so that an append changes no other page.
//
// # Epochs
//
// Numbers must never be given out twice. Whenever the last one is not certain (the
// file is damaged, lost, or older than identity.json knows) a new epoch begins
// with a new file, and the old epoch's events move into it under their old epoch
// and numbers: the city may have some of them already, and knows them again. A
// new file is made under another name, synced and renamed.
//
// identity.json is the second witness. It names the epochs and how far they are
// known to have come, written every thousand events at most, hourly, and
// exactly when the spool is closed.
//
// # When the disk takes nothing
//
// Alarms, and events of the device itself, are then accepted into memory, in an
// epoch of their own, and sent like all others; Append says ErrNotDurable. Every
// append and every five seconds the disk is tried again. When it is back, what
// the city has not acknowledged moves to it.
//
// # Wear
//
// A commit writes three to five pages however many events it holds, so grouping
// is what saves flash: see pace. Acks ride along with later commits and get one
// of their own only when the board is idle and there is much to free, or after an
// hour. Pages are written ahead with zeros, or the filesystem's journal would
// write more than the spool. A file that has drained is compacted.
package spool
