// Package desk answers what a technician at the board asks about its spool:
// where it stands, which events wait, whether its file is sound, and all of them
// to take along. While the agent runs it has the spool's file to itself, so the
// questions go to it, through a Unix socket in its data folder; when it does not
// run, they go to the file. Nothing here changes anything.
//
// # The protocol
//
// On the socket both sides write one JSON object a line. A request is answered
// by any number of lines and an end; then the next may follow.
//
//	{"v":1,"do":"stat"}
//	{"stat":{…}}
//	{"end":true}
//	{"v":1,"do":"read","epoch":"9f86d081884c7d65","lane":"state","from":17,"events":400}
//	{"event":"{\"seq\":17,…}"}
//	{"end":true}
//	{"v":1,"do":"check"}
//	{"blocks":128}
//	{"finding":{…}}
//	{"end":true}
//
// An event is a string, for its bytes must come through as they are. An end with
// "error" says why the answer is not complete.
package desk

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/agent/internal/spool"
)

// Book is a spool that can be read: a running agent's, or a file.
type Book interface {
	// Stat returns where the spool stands.
	Stat(ctx context.Context) (*Stat, error)
	// Read returns events of a lane that the city has not acknowledged, from seq
	// on, in order: some of them, at most events; none when there are no more.
	Read(ctx context.Context, epoch string, lane longan.Lane, from uint64, events int) ([]spool.Record, error)
	// Check reads everything. step is called now and then, with the blocks read
	// so far.
	Check(ctx context.Context, step func(blocks uint64) error) (*Finding, error)
}

// Stat is where a spool stands. Its JSON is what -json prints.
type Stat struct {
	Running bool            `json:"running"`          // the agent answers, and not the file
	Device  longan.DeviceID `json:"device,omitempty"` // of a running agent
	Version string          `json:"version,omitempty"`
	Time    time.Time       `json:"time"`
	Epochs  []Epoch         `json:"epochs"` // the oldest first; the last is being written

	File         int64     `json:"file"`          // bytes
	Live         int64     `json:"live"`          // bytes of events in it
	Budget       int64     `json:"budget"`        // bytes that Live is held below
	WrittenToday uint64    `json:"written_today"` // bytes since midnight UTC
	Written      uint64    `json:"written"`       // bytes since WrittenSince
	WrittenSince time.Time `json:"written_since,omitzero"`
	LifeHours    int64     `json:"life_hours,omitempty"` // of the card, an estimate; 0 is unknown

	OK       bool   `json:"ok"` // the disk takes events, or the file is sound
	Error    string `json:"error,omitempty"`
	SlowMS   int64  `json:"slow_ms,omitempty"`   // the slowest recent commit, when it was too slow
	InMemory int    `json:"in_memory,omitempty"` // events that a power cut would lose now
}

// Epoch is where an epoch stands.
type Epoch struct {
	Epoch string                `json:"epoch"`
	Lanes map[longan.Lane]*Lane `json:"lanes"`
}

// Lane is where a lane of an epoch stands.
type Lane struct {
	Last    uint64 `json:"last"`    // the newest seq
	Acked   uint64 `json:"acked"`   // the city has everything up to it
	Backlog uint64 `json:"backlog"` // events that wait, with those given up meanwhile
	// Oldest is when the oldest event that waits happened, by the board's clock;
	// zero when none waits or it is not known.
	Oldest time.Time `json:"oldest,omitzero"`
}

// Finding is what a check found.
type Finding struct {
	Running bool     `json:"running"`
	Blocks  uint64   `json:"blocks"`
	Events  uint64   `json:"events"`
	Bad     []string `json:"bad,omitempty"`     // what does not hold, each in its own words
	Damage  string   `json:"damage,omitempty"`  // why the file is damaged; the next start repairs it
	Witness string   `json:"witness,omitempty"` // why the second file can't be used; it is made anew
	Losses  []Loss   `json:"losses,omitempty"`  // what a repair will save and what not
}

// Loss is what a repair will save of a lane, and what not.
type Loss struct {
	Epoch    string      `json:"epoch"`
	Lane     longan.Lane `json:"lane"`
	Salvaged uint64      `json:"salvaged"` // events
	Lost     uint64      `json:"lost"`     // events
}

// Sound reports whether nothing is wrong.
func (f *Finding) Sound() bool { return len(f.Bad) == 0 && f.Damage == "" && f.Witness == "" }

// Bounds of one answer to a read.
const (
	maxRead  = 400      // events
	readSize = 64 << 10 // bytes of JSON
)

// request is one question.
type request struct {
	Do     string
	Epoch  string
	Lane   longan.Lane
	From   uint64
	Events int
}

// What a request may ask.
const (
	doStat  = "stat"
	doRead  = "read"
	doCheck = "check"
)

// wireRequest is a request on the socket.
type wireRequest struct {
	V      int    `json:"v"`
	Do     string `json:"do"`
	Epoch  string `json:"epoch,omitempty"`
	Lane   string `json:"lane,omitempty"`
	From   uint64 `json:"from,omitempty"`
	Events int    `json:"events,omitempty"`
}

// protocolVersion is the "v" of a request.
const protocolVersion = 1

// maxRequest bounds a request's line, in bytes.
const maxRequest = 1024

// parseRequest returns the request in a line, or an error that can be shown to
// who sent it.
func parseRequest(line []byte) (r request, err error) {
	if len(line) > maxRequest {
		return r, fmt.Errorf("request of %d bytes: %w", len(line), longan.ErrTooLarge)
	}
	var w wireRequest
	if err := json.Unmarshal(line, &w); err != nil {
		return r, fmt.Errorf("request: %w: %.100s", longan.ErrMalformed, err.Error())
	}
	if w.V != protocolVersion {
		return r, fmt.Errorf("request: %w: v %d, this agent knows %d; use the command of the same version", longan.ErrVersion, w.V, protocolVersion)
	}
	r = request{Do: w.Do, Epoch: w.Epoch, From: max(w.From, 1), Events: w.Events}
	switch w.Do {
	case doStat, doCheck:
		return r, nil
	case doRead:
	default:
		return r, fmt.Errorf("request: %w: do %.20q: want stat, read or check", longan.ErrMalformed, w.Do)
	}
	if !longan.ValidName(w.Epoch) || len(w.Epoch) > longan.MaxName {
		return r, fmt.Errorf("request: %w: epoch %.20q", longan.ErrMalformed, w.Epoch)
	}
	if r.Lane, err = longan.ParseLane(w.Lane); err != nil {
		return r, fmt.Errorf("request: %w", err)
	}
	if r.Events < 1 || r.Events > maxRead {
		return r, fmt.Errorf("request: %w: events %d: want 1 to %d", longan.ErrMalformed, w.Events, maxRead)
	}
	return r, nil
}

// line returns the request as it stands on the socket.
func (r request) line() []byte {
	w := wireRequest{V: protocolVersion, Do: r.Do}
	if r.Do == doRead {
		w.Epoch, w.Lane, w.From, w.Events = r.Epoch, r.Lane.String(), r.From, r.Events
	}
	text, err := json.Marshal(w)
	if err != nil {
		return nil // not reached: strings and numbers
	}
	return append(text, '\n')
}

// reply is one line of an answer.
type reply struct {
	Stat    *Stat    `json:"stat,omitempty"`
	Event   string   `json:"event,omitempty"`
	Blocks  uint64   `json:"blocks,omitempty"`
	Finding *Finding `json:"finding,omitempty"`
	End     bool     `json:"end,omitempty"`
	Error   string   `json:"error,omitempty"`
}
