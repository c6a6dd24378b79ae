// Package longan is the contract between the board in a township service and
// governance center (综治中心) and the city: events and their lanes, batches,
// acknowledgements, the status with its will, and the MQTT topics they travel
// on. It is the only package that the agent and the cloud share.
//
// # The promise behind the types
//
// An event is numbered within its stream, and a stream is (device, epoch,
// lane): the epoch is a random id made together with a new spool, so a board
// that lost its flash starts a new stream and the city can tell. Sequence
// numbers count 1, 2, 3 … without a hole. The board keeps an event until the
// city's cumulative [Ack] says that it is stored; a broker's PUBACK frees
// nothing.
//
// # Encoding
//
// Every message is a JSON object that any MQTT client can read. One that grows
// past [DeflateAbove] bytes travels as DEFLATE (RFC 1951) with the preset
// dictionary of this package; the first byte tells which. No message is larger
// than [MaxPayload], before or after compression.
//
// The contract only grows: unknown fields of a message or an event are kept and
// written out again, and unknown event types are carried as they are. In the
// points and peripherals of a [Status] unknown fields are passed over, and an
// unknown state reads as [Unknown].
package longan

// Version is the version of the contract, the "v" of every message and the
// "v1" of every topic.
const Version = 1

// Limits of the contract, in bytes unless said otherwise. A decoder refuses
// what exceeds them with [ErrTooLarge]; an encoder never produces it.
const (
	// MaxPayload bounds an encoded message, and what a compressed one may
	// inflate to. Below the smallest default limit of common brokers (1 MiB).
	MaxPayload = 256 << 10
	// MaxEvent bounds one event's JSON.
	MaxEvent = 8 << 10
	// MaxData bounds the data of one event.
	MaxData = 4 << 10
	// MaxBatch bounds the number of events in a batch.
	MaxBatch = 1000
	// MaxName bounds the identifiers: types, points, peripherals, epochs,
	// sessions, boots.
	MaxName = 64
	// MaxLabel bounds texts written for people, in bytes of UTF-8.
	MaxLabel = 256
	// MaxPoints bounds the points, and the peripherals, of one device.
	MaxPoints = 512
	// DeflateAbove is the size of a message's JSON above which it is compressed,
	// where that makes it smaller: on a metered link a lone alarm of 300 bytes
	// costs a third.
	DeflateAbove = 64
)
