package card

import (
	"bytes"
	"time"

	"github.com/longan-edge/longan/drivers"
)

// Hold is how long a card may pause and count as the same presentation. Readers
// tell a card that lies on them again and again, some twice a second; each event
// is written to flash.
const Hold = 3 * time.Second

// Held remembers the card that a reader told last.
type Held struct {
	data []byte
	at   time.Time
}

// Still reports whether a card is the one before, held to the reader still. It is
// only remembered by Told.
func (h *Held) Still(o *drivers.Occurrence, now time.Time) bool {
	if !bytes.Equal(h.data, o.Data) || now.Sub(h.at) >= Hold {
		return false
	}
	h.at = now
	return true
}

// Told notes that a card was emitted, and stored.
func (h *Held) Told(o *drivers.Occurrence, now time.Time) { h.data, h.at = o.Data, now }
