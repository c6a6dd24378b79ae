package peripheral

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Paper is how much paper a printer has.
type Paper int

// The states of the paper.
const (
	PaperFull Paper = iota
	PaperNear       // near its end
	PaperOut
)

// Printer is a receipt printer that answers real-time status requests (Epson
// ESC/POS, DLE EOT n) and takes everything else as something to print.
type Printer struct {
	mu      sync.Mutex
	paper   Paper
	cover   bool
	offline bool
	broken  bool
	fault   Fault
}

// NewPrinter returns a printer with paper, closed and online.
func NewPrinter() *Printer { return &Printer{} }

// SetPaper loads paper or lets it run out.
func (p *Printer) SetPaper(paper Paper) { p.set(func() { p.paper = paper }) }

// SetCover opens or closes the cover.
func (p *Printer) SetCover(open bool) { p.set(func() { p.cover = open }) }

// SetOffline switches the printer offline or online.
func (p *Printer) SetOffline(offline bool) { p.set(func() { p.offline = offline }) }

// SetBroken jams the cutter, or mends it.
func (p *Printer) SetBroken(broken bool) { p.set(func() { p.broken = broken }) }

// SetFault makes the printer misbehave: Silent and Babbling.
func (p *Printer) SetFault(f Fault) { p.set(func() { p.fault = f }) }

func (p *Printer) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// Serve answers on a port until ctx ends; then it returns nil.
func (p *Printer) Serve(ctx context.Context, port Port) error {
	defer closeOnDone(ctx, port)()
	if err := port.SetReadDeadline(time.Time{}); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve printer: %w", err)
	}
	var last [2]byte
	buf := make([]byte, 256)
	for ctx.Err() == nil {
		n, err := port.Read(buf)
		if err != nil {
			if ended(ctx, err) || ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("serve printer: %w", err)
		}
		for _, b := range buf[:n] {
			if last == [2]byte{0x10, 0x04} && b >= 1 && b <= 4 { // in the middle of print data too
				if err := p.answer(port, b); err != nil && ctx.Err() == nil {
					return fmt.Errorf("serve printer: %w", err)
				}
			}
			last = [2]byte{last[1], b}
		}
	}
	return nil
}

func (p *Printer) answer(port Port, n byte) error {
	p.mu.Lock()
	b, fault := p.status(n), p.fault
	p.mu.Unlock()
	out := []byte{b}
	switch fault {
	case Silent:
		return nil
	case Babbling:
		out = []byte{0xff, 0x00, 0x93}
	}
	_, err := port.Write(out)
	return err
}

// status returns the byte that answers DLE EOT n. Bits 1 and 4 are always set.
func (p *Printer) status(n byte) byte {
	b := byte(0x12)
	bit := func(on bool, mask byte) {
		if on {
			b |= mask
		}
	}
	switch n {
	case 1: // printer
		bit(p.offline || p.cover || p.broken || p.paper == PaperOut, 0x08)
	case 2: // why offline
		bit(p.cover, 0x04)
		bit(p.paper == PaperOut, 0x20)
		bit(p.broken, 0x40)
	case 3: // error
		bit(p.broken, 0x08)
	case 4: // paper sensors
		bit(p.paper != PaperFull, 0x0c)
		bit(p.paper == PaperOut, 0x60)
	}
	return b
}
