package ingest

import (
	"context"
	"hash/crc32"
	"sync"
	"time"

	"github.com/longan-edge/longan"
	"github.com/longan-edge/longan/cloud/internal/store"
)

// asideEvery is the time between two writes of dead letters. A board gets one in
// for each, so that one that sends nothing but garbage fills neither the disk nor
// the log, and nobody has to wait for the writing of it.
const asideEvery = time.Second

// maxAside bounds the dead letters that wait; the boards send again.
const maxAside = 256

// letter is a batch that is not taken, to be set aside and then refused.
type letter struct {
	store.DeadLetter
	tell string // the reason that the board is told, or ""
}

// aside holds the dead letters that wait to be written, one of each device.
type aside struct {
	wake chan struct{} // signalled when something was put; capacity 1

	mu      sync.Mutex
	letters map[longan.DeviceID]letter
}

func (a *aside) init() {
	a.wake, a.letters = make(chan struct{}, 1), map[longan.DeviceID]letter{}
}

func (a *aside) put(l letter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, waits := a.letters[l.Device]; waits || len(a.letters) >= maxAside {
		return
	}
	a.letters[l.Device] = l
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

func (a *aside) take() (out []letter) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.letters {
		out = append(out, l)
	}
	clear(a.letters)
	return out
}

// setAside counts and logs a batch that is not taken, and leaves it to be kept as
// a dead letter. Once that is written the board is told, if there is a reason to
// tell.
func (in *Ingest) setAside(r Reason, tell string, m message, err error) {
	in.refuse(r, m.topic.String(), err)
	in.aside.put(in.letter(r, tell, m, err))
}

func (in *Ingest) letter(r Reason, tell string, m message, err error) letter {
	l := letter{store.DeadLetter{
		Device: m.topic.Device, Lane: m.topic.Lane, ReceivedAt: in.cfg.Now(), Reason: r.String(),
		CRC: crc32.Checksum(m.payload, in.castagnoli), Size: len(m.payload), Payload: m.payload,
	}, tell}
	if err != nil {
		l.Error = err.Error()
	}
	return l
}

// asideLoop writes dead letters, until ctx ends. What can't be written is
// dropped: the board sends it again, for it has not been told.
func (in *Ingest) asideLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-in.aside.wake:
		}
		in.keepLetters(ctx, in.aside.take())
		if !sleep(ctx, asideEvery) {
			return
		}
	}
}

// keepLetters writes dead letters and tells the boards. It reports whether they
// are written.
func (in *Ingest) keepLetters(ctx context.Context, letters []letter) bool {
	rows := make([]store.DeadLetter, len(letters))
	for i, l := range letters {
		rows[i] = l.DeadLetter
	}
	if err := in.cfg.Store.SetAside(ctx, rows...); err != nil {
		in.refused.note("dead letters are not kept", "letters", len(letters), "err", err)
		return false
	}
	for _, l := range letters {
		if l.tell != "" {
			in.acks.put(ackKey{device: l.Device}, due{refused: &longan.Refusal{Lane: l.Lane, CRC: l.CRC, Reason: l.tell}})
		}
	}
	return true
}
