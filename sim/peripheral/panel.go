package peripheral

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// PanelConfig describes a simulated alarm panel. Zero values take the defaults.
type PanelConfig struct {
	// Dial connects to the receiver, over TCP or UDP: each message is one Write.
	Dial    func(context.Context) (net.Conn, error)
	Account string // hexadecimal digits
	Key     []byte // of AES; nil sends in the clear
	// Heartbeat is how often the panel sends NULL when it has nothing to say, 60 s
	// by default; Timeout how long it waits for an answer, 5 s, and then as long
	// again before it repeats the message.
	Heartbeat, Timeout time.Duration
	Now                func() time.Time // the panel's clock; nil is time.Now
}

// Panel is an alarm panel that reports over the network: the sending side of SIA
// DC-09. It sends one message and repeats it until it is answered, keeps what it
// has to report meanwhile, and sets its clock by a NAK.
//
// Of the faults, Silent sends nothing, Babbling noise, HalfFrame and WrongCRC
// broken messages, and Late the message after the delay.
type Panel struct {
	faults
	cfg   PanelConfig
	block cipher.Block // of the key, or nil
	bad   error        // of the key

	mu     sync.Mutex
	queue  []string // "SIA-DCS" and data, in one; the first is being sent
	seq    int
	offset time.Duration // of the clock
	deaf   int           // answers that get lost
	stats  PanelStats
	wake   chan struct{} // has room for one
}

// PanelStats counts the answers to a panel.
type PanelStats struct {
	Acked, Naked, Duhed int
	Heartbeats          int // acknowledged ones, of Acked
	Unanswered          int
}

// NewPanel returns a panel with nothing to report.
func NewPanel(cfg PanelConfig) *Panel {
	cfg.Heartbeat = cmp.Or(cfg.Heartbeat, time.Minute)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	p := &Panel{cfg: cfg, seq: 1, wake: make(chan struct{}, 1)}
	if cfg.Key != nil {
		p.block, p.bad = aes.NewCipher(cfg.Key)
	}
	return p
}

// Report queues an event of SIA DC-03, as "BA", 15; area 0 is none.
func (p *Panel) Report(code string, number, area int) {
	data := fmt.Sprintf("N%s%03d", code, number)
	if area > 0 {
		data = fmt.Sprintf("Nri%d/%s%03d", area, code, number)
	}
	p.put("SIA-DCS", data)
}

// ReportContactID queues an event of SIA DC-05: qualifier 1 is new, 3 restored, 6
// still there.
func (p *Panel) ReportContactID(qualifier, code, number int) {
	p.put("ADM-CID", fmt.Sprintf("%d%03d %02d %03d", qualifier, code, 1, number))
}

func (p *Panel) put(token, data string) {
	p.mu.Lock()
	p.queue = append(p.queue, token+"\x00"+"#"+p.cfg.Account+"|"+data)
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default: // it will look
	}
}

// SetClock sets how far the panel's clock is ahead.
func (p *Panel) SetClock(ahead time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offset = ahead
}

// LoseAnswers makes the next n answers get lost on the way.
func (p *Panel) LoseAnswers(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = n
}

// Waiting returns how many events are not acknowledged.
func (p *Panel) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.queue)
}

// Stats returns what was counted since NewPanel.
func (p *Panel) Stats() PanelStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Run reports until ctx ends and returns nil, or at once if the key is none of
// AES. It may be called again.
func (p *Panel) Run(ctx context.Context) error {
	if p.bad != nil {
		return fmt.Errorf("run panel %s: %w", p.cfg.Account, p.bad)
	}
	for ctx.Err() == nil {
		if err := p.talk(ctx); err != nil {
			p.pause(ctx, p.cfg.Timeout, nil)
		}
	}
	return nil
}

// talk reports over one connection, until ctx ends or there is no answer.
func (p *Panel) talk(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	conn, err := p.cfg.Dial(dialing)
	if err != nil {
		return fmt.Errorf("dial the receiver: %w", err)
	}
	talking, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer end()
	w := &lockedWriter{w: conn}
	wg.Go(func() { p.babble(talking, w) })
	wg.Go(func() { <-talking.Done(); conn.Close() })
	for {
		if err := p.exchange(talking, w, conn); err != nil {
			return err
		}
		if p.Waiting() == 0 && !p.pause(ctx, p.cfg.Heartbeat, p.wake) {
			return ctx.Err()
		}
	}
}

// pause waits, for no longer than until wake says something; false is that ctx ended.
func (p *Panel) pause(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-timer.C:
	}
	return true
}

// exchange sends the first of the queue, or NULL, and takes the answer.
func (p *Panel) exchange(ctx context.Context, w io.Writer, conn net.Conn) error {
	p.mu.Lock()
	token, data := "NULL", ""
	if len(p.queue) > 0 {
		token, data, _ = strings.Cut(p.queue[0], "\x00")
	}
	seq := fmt.Sprintf("%04d", p.seq)
	text := p.message(token, seq, data)
	p.mu.Unlock()

	if err := conn.SetDeadline(time.Now().Add(p.cfg.Timeout)); err != nil {
		return err
	}
	if err := p.reply(ctx, w, text); err != nil {
		return err
	}
	for {
		answer, number, stamp, err := p.listen(conn)
		p.mu.Lock()
		if err == nil && p.deaf > 0 {
			p.deaf--
			err = errors.New("the answer got lost")
		}
		if err == nil && answer != "NAK" && number != seq {
			p.mu.Unlock()
			continue // late, to an earlier message
		}
		p.settle(answer, token, stamp, err)
		p.mu.Unlock()
		return err
	}
}

// settle takes an answer, or that there was none; p.mu is held.
func (p *Panel) settle(answer, token string, stamp time.Time, err error) {
	switch {
	case err != nil:
		p.stats.Unanswered++
		return
	case answer == "NAK":
		p.stats.Naked++
		p.offset = stamp.Sub(p.cfg.Now())
		return // the same again, with the right time
	case answer == "DUH":
		p.stats.Duhed++
	default:
		p.stats.Acked++
		if token == "NULL" {
			p.stats.Heartbeats++
		}
	}
	if token != "NULL" {
		p.queue = p.queue[1:]
	}
	if p.seq++; p.seq > 9999 {
		p.seq = 1
	}
}

const panelTime = "_15:04:05,01-02-2006"

// message returns the bytes of a message; p.mu is held.
func (p *Panel) message(token, seq, data string) []byte {
	stamp := p.cfg.Now().Add(p.offset).UTC().Format(panelTime)
	var body string
	if p.block == nil {
		body = `"` + token + `"` + seq + "R0L0#" + p.cfg.Account + "[" + data + "]" + stamp
	} else {
		plain := "|" + data + "]" + stamp
		if data == "" {
			plain = "]" + stamp
		}
		plain = strings.Repeat("+", 16-len(plain)%16) + plain
		body = `"*` + token + `"` + seq + "R0L0#" + p.cfg.Account + "[" + p.crypt(plain)
	}
	return fmt.Appendf(nil, "\n%04X%04X%s\r", panelCRC(body), len(body), body)
}

func (p *Panel) crypt(plain string) string {
	out := make([]byte, len(plain))
	cipher.NewCBCEncrypter(p.block, make([]byte, 16)).CryptBlocks(out, []byte(plain))
	return fmt.Sprintf("%X", out)
}

// listen reads one answer: its token, number and time, where it has one.
func (p *Panel) listen(conn net.Conn) (token, seq string, stamp time.Time, err error) {
	var text []byte
	buf := make([]byte, 512)
	for !strings.HasSuffix(string(text), "\r") {
		n, err := conn.Read(buf)
		text = append(text, buf[:n]...)
		if err != nil || len(text) > 4<<10 {
			return "", "", stamp, fmt.Errorf("no answer: %w", cmp.Or(err, io.ErrShortBuffer))
		}
	}
	return p.understand(strings.TrimSuffix(strings.TrimPrefix(string(text), "\n"), "\r"))
}

// understand checks an answer and takes it apart.
func (p *Panel) understand(frame string) (token, seq string, stamp time.Time, err error) {
	wrong := fmt.Errorf("answer %q is not of DC-09", frame)
	if len(frame) < 8 {
		return "", "", stamp, wrong
	}
	crc, err1 := strconv.ParseUint(frame[:4], 16, 16)
	length, err2 := strconv.ParseUint(frame[4:8], 16, 16)
	body := frame[8:]
	if errors.Join(err1, err2) != nil || int(length) != len(body) || uint16(crc) != panelCRC(body) {
		return "", "", stamp, wrong
	}
	parts := strings.SplitN(body, `"`, 3)
	if len(parts) != 3 || len(parts[2]) < 4 {
		return "", "", stamp, wrong
	}
	token, seq = parts[1], parts[2][:4]
	if sealed, ok := strings.CutPrefix(token, "*"); ok {
		token = sealed
		if body, err = p.plain(body); err != nil {
			return "", "", stamp, err
		}
	} else if p.block != nil && token == "ACK" {
		return "", "", stamp, fmt.Errorf("answer %q should be encrypted", frame)
	}
	if i := strings.LastIndexByte(body, '_'); i >= 0 {
		stamp, err = time.Parse("_15:04:05 01-02-2006", strings.Replace(body[i:], ",", " ", 1))
	}
	if token != "ACK" && token != "NAK" && token != "DUH" {
		err = wrong
	}
	return token, seq, stamp, err
}

// plain decrypts what follows the bracket of an answer.
func (p *Panel) plain(body string) (string, error) {
	_, digits, _ := strings.Cut(body, "[")
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) == 0 || len(b)%16 != 0 || p.block == nil {
		return "", fmt.Errorf("answer %q can't be decrypted", body)
	}
	cipher.NewCBCDecrypter(p.block, make([]byte, 16)).CryptBlocks(b, b)
	_, text, ok := strings.Cut(string(b), "]")
	if !ok {
		return "", fmt.Errorf("answer %q has another key", body)
	}
	return text, nil
}

// panelCRC divides by x^16 + x^15 + x^2 + 1, with the bits in the order of a
// serial line, from zero.
func panelCRC(s string) uint16 {
	var register uint16
	for _, b := range []byte(s) {
		register = rtuStep(register, b)
	}
	return register
}
