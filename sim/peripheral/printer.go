package peripheral

import (
	"context"
	"io"
	"sync"
)

// Paper is how much paper a printer has.
type Paper uint8

// The amounts.
const (
	PaperFull Paper = iota
	PaperNear       // near its end
	PaperOut
)

// Printer is a receipt printer that answers the real-time status request of
// ESC/POS, DLE EOT 1 to 4, and prints everything else into nothing.
//
// As in a real printer the request is carried out as soon as its three bytes
// arrive, whatever stands before them; print data that holds these bytes, as an
// image can, makes it answer too.
type Printer struct {
	faults

	mu      sync.Mutex
	cover   bool
	paper   Paper
	offline bool
	broken  bool
	asb     bool
	only    map[int]bool // the n it answers; nil is all
	printed int
	asked   [5]int // by n
	line    io.Writer
	begun   []byte // of a request, at the end of the data so far
}

// NewPrinter returns a printer with paper, closed and online.
func NewPrinter() *Printer { return &Printer{} }

// SetCover opens or closes the cover.
func (p *Printer) SetCover(open bool) { p.change(func() { p.cover = open }) }

// SetPaper fills the printer or uses its paper up.
func (p *Printer) SetPaper(paper Paper) { p.change(func() { p.paper = paper }) }

// SetOffline switches it offline, as with its button.
func (p *Printer) SetOffline(offline bool) { p.change(func() { p.offline = offline }) }

// SetBroken jams the cutter, or mends it.
func (p *Printer) SetBroken(broken bool) { p.change(func() { p.broken = broken }) }

// SetASB turns the automatic status on or off: four bytes at every change, as
// after GS a.
func (p *Printer) SetASB(on bool) { p.change(func() { p.asb = on }) }

// AnswerOnly makes it a compatible printer that answers these n alone; without
// any it answers all again.
func (p *Printer) AnswerOnly(n ...int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.only = nil
	for _, n := range n {
		if p.only == nil {
			p.only = make(map[int]bool)
		}
		p.only[n] = true
	}
}

// Printed returns how many bytes of print data it took.
func (p *Printer) Printed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed
}

// Asked returns how often DLE EOT n was received; n is 1 to 4.
func (p *Printer) Asked(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[n]
}

// change does what changes the printer and sends the automatic status.
func (p *Printer) change(do func()) {
	p.mu.Lock()
	do()
	w, status := p.line, p.automatic()
	send := p.asb && w != nil
	p.mu.Unlock()
	if send {
		// A line that is gone ends Serve; here it only means that nobody hears.
		_, _ = w.Write(status)
	}
}

// Serve answers requests on port until ctx ends, when it returns nil and leaves
// the port open, or the port fails. It may be called again.
func (p *Printer) Serve(ctx context.Context, port Port) error {
	defer p.attach(nil)
	return p.serve(ctx, port, func(ctx context.Context, w io.Writer, b []byte) error {
		p.attach(w)
		for _, c := range b {
			answer, ok := p.take(c)
			if !ok {
				continue
			}
			if err := p.reply(ctx, w, []byte{answer}); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *Printer) attach(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.line = w
	if w == nil {
		p.begun = nil
	}
}

// take receives one byte and returns the answer to a request that it completes.
func (p *Printer) take(c byte) (answer byte, ok bool) {
	const dle, eot = 0x10, 0x04
	p.mu.Lock()
	defer p.mu.Unlock()
	switch n := len(p.begun); {
	case n == 2 && c >= 1 && c <= 4:
		p.begun = nil
		p.asked[c]++
		return p.status(int(c)), p.only == nil || p.only[int(c)]
	case n == 1 && c == eot:
		p.begun = append(p.begun, c)
		return 0, false
	}
	p.printed += len(p.begun) // it was no request
	p.begun = nil
	if c == dle {
		p.begun = []byte{c}
	} else {
		p.printed++
	}
	return 0, false
}

// status is the answer to DLE EOT n; p.mu is held.
func (p *Printer) status(n int) byte {
	b := byte(0x12)
	set := func(on bool, bits byte) {
		if on {
			b |= bits
		}
	}
	switch n {
	case 1:
		set(p.isOffline(), 1<<3)
	case 2:
		set(p.cover, 1<<2)
		set(p.paper == PaperOut, 1<<5)
		set(p.broken, 1<<6)
	case 3:
		set(p.broken, 1<<3)
	case 4:
		set(p.paper != PaperFull, 1<<2|1<<3)
		set(p.paper == PaperOut, 1<<5|1<<6)
	}
	return b
}

// isOffline: an open cover, no paper and an error take a printer offline too.
func (p *Printer) isOffline() bool {
	return p.offline || p.cover || p.broken || p.paper == PaperOut
}

// automatic is the automatic status back; p.mu is held.
func (p *Printer) automatic() []byte {
	b := []byte{0x10, 0, 0, 0}
	if p.isOffline() {
		b[0] |= 1 << 3
	}
	if p.cover {
		b[0] |= 1 << 5
	}
	if p.broken {
		b[1] |= 1 << 3
	}
	if p.paper != PaperFull {
		b[2] |= 1<<0 | 1<<1
	}
	if p.paper == PaperOut {
		b[2] |= 1<<2 | 1<<3
	}
	return b
}
