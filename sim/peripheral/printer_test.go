package peripheral

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"
)

func TestPrinterStatus(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(p *Printer)
		want string // answers to 1, 2, 3 and 4
	}{
		{"healthy", func(*Printer) {}, "12 12 12 12"},
		{"cover open", func(p *Printer) { p.SetCover(true) }, "1a 16 12 12"},
		{"near end", func(p *Printer) { p.SetPaper(PaperNear) }, "12 12 12 1e"},
		{"no paper", func(p *Printer) { p.SetPaper(PaperOut) }, "1a 32 12 7e"},
		{"offline", func(p *Printer) { p.SetOffline(true) }, "1a 12 12 12"},
		{"jammed", func(p *Printer) { p.SetBroken(true) }, "1a 52 1a 12"},
		{"mended", func(p *Printer) { p.SetBroken(true); p.SetBroken(false) }, "12 12 12 12"},
		{"compatible", func(p *Printer) { p.AnswerOnly(1, 4) }, "12 12"},
		{"original again", func(p *Printer) { p.AnswerOnly(1); p.AnswerOnly() }, "12 12 12 12"},
		{"silent", func(p *Printer) { p.SetFault(Silent) }, ""},
		{"wrong bits", func(p *Printer) { p.SetFault(WrongCRC) }, "13 13 13 13"},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPrinter()
				test.do(p)
				conn := plug(t, p)
				var got []byte
				for n := byte(1); n <= 4; n++ {
					got = append(got, talk(t, conn, []byte{0x10, 0x04, n}, time.Second)...)
				}
				if !bytes.Equal(got, unhex(t, test.want)) {
					t.Errorf("got % x, want %s", got, test.want)
				}
			})
		})
	}
}

func TestPrintDataIsNotACommand(t *testing.T) {
	for _, test := range []struct {
		name    string
		data    string
		answers string
		printed int
	}{
		{"text", "48 65 6c 6c 6f 0a", "", 6},
		{"request in text", "48 10 04 01 69", "12", 2},
		{"DLE alone", "10 41", "", 2},
		{"DLE EOT of another kind", "10 04 05", "", 3},
		{"DLE before a request", "10 10 04 02", "12", 1},
		{"DLE EOT before a request", "10 04 10 04 02", "12", 2},
		{"automatic status switched by print data", "1d 61 ff", "", 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := NewPrinter()
				conn := plug(t, p)
				var got []byte
				for _, b := range unhex(t, test.data) { // however it is cut
					got = append(got, talk(t, conn, []byte{b}, time.Millisecond)...)
				}
				if !bytes.Equal(got, unhex(t, test.answers)) || p.Printed() != test.printed {
					t.Errorf("got % x and %d printed, want %s and %d", got, p.Printed(), test.answers, test.printed)
				}
			})
		})
	}
}

func TestAutomaticStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := NewPrinter()
		conn := plug(t, p)
		talk(t, conn, unhex(t, "10 04 01"), time.Second)
		done := make(chan struct{})
		go func() {
			defer close(done)
			p.SetASB(true)
			p.SetCover(true)
			p.SetPaper(PaperOut)
			p.SetASB(false)
			p.SetCover(false)
		}()
		got := talk(t, conn, nil, time.Second)
		<-done
		if want := unhex(t, "10 00 00 00 38 00 00 00 38 00 0f 00"); !bytes.Equal(got, want) {
			t.Errorf("got % x, want % x", got, want)
		}
		if p.Asked(1) != 1 || p.Asked(2) != 0 {
			t.Errorf("asked: got %d and %d", p.Asked(1), p.Asked(2))
		}
	})
}
