package peripheral

import (
	"context"
	"crypto/aes"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// OSDPConfig describes a simulated card reader.
type OSDPConfig struct {
	Address byte   // on the line, 0 to 126
	Key     []byte // the secure channel's, of 16 bytes; nil is the default key that everybody knows
	Plain   bool   // it knows no secure channel
	Inputs  int
	// Identity is what it says it is: vendor (3 bytes), model, version, serial
	// number (4), firmware (3); nil is one that is made up. Capabilities are three
	// bytes for each function of annex B; nil is those that it has.
	Identity, Capabilities []byte
	// Random is the reader's part of every handshake; a simulation has no secrets.
	Random [8]byte
}

// OSDPReader is a card reader with a keypad: a peripheral device (PD) of SIA
// OSDP v2.2. It keeps what happens at it until the panel has fetched it.
type OSDPReader struct {
	faults
	address byte
	random  [8]byte
	plain   bool
	id      []byte
	caps    []byte

	mu      sync.Mutex
	key     []byte
	queue   []osdpReply // to be told at the next poll
	inputs  []byte
	tamper  bool
	power   bool
	led     byte // its permanent colour, 0 is dark
	buzzer  bool
	busy    int // commands to be put off
	polls   int
	session osdpSession
}

// osdpReply is what a reader tells.
type osdpReply struct {
	code byte
	data []byte
}

// osdpSession is what a reader remembers of the panel: until sequence number 0,
// or the power, begins another one.
type osdpSession struct {
	last    byte   // sequence number
	request []byte // the command with it
	answer  []byte // and what was answered, for a repeat
	secure  *osdpSecure
}

// NewOSDPReader returns a reader at rest.
func NewOSDPReader(cfg OSDPConfig) *OSDPReader {
	r := &OSDPReader{address: cfg.Address, plain: cfg.Plain, inputs: make([]byte, cfg.Inputs), random: cfg.Random}
	r.id, r.caps = cfg.Identity, cfg.Capabilities
	if len(r.id) != 12 {
		r.id = []byte{0x4C, 0x41, 0x4E, 7, 1, cfg.Address, 0, 0, 0, 2, 0, 1}
	}
	if r.caps == nil {
		secure := byte(1)
		if cfg.Plain {
			secure = 0
		}
		r.caps = []byte{1, 1, byte(cfg.Inputs), 3, 1, 0, 4, 4, 1, 5, 1, 1, 8, 1, 0, 9, secure, secure}
	}
	r.Rekey(cfg.Key)
	return r
}

// Rekey gives the reader another key, as its maker's tool would; nil is the
// default key. It ends the session.
func (r *OSDPReader) Rekey(key []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.key = append([]byte(nil), key...)
	r.session = osdpSession{}
}

// Restart is a power cut: the reader forgets the session, and what it lit.
func (r *OSDPReader) Restart() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.session, r.led, r.buzzer = osdpSession{}, 0, false
}

// Card holds a card to the reader: a text of zeros and ones, as the card sends
// them.
func (r *OSDPReader) Card(bits string) {
	data := []byte{0, 0, byte(len(bits)), byte(len(bits) >> 8)}
	data = append(data, make([]byte, (len(bits)+7)/8)...)
	for i, bit := range bits {
		if bit == '1' {
			data[4+i/8] |= 0x80 >> (i % 8)
		}
	}
	r.Tell(0x50, data...)
}

// Keys presses keys.
func (r *OSDPReader) Keys(keys string) {
	r.Tell(0x53, append([]byte{0, byte(len(keys))}, keys...)...)
}

// Tell lets the reader answer a poll with any reply.
func (r *OSDPReader) Tell(code byte, data ...byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(r.queue, osdpReply{code, data})
}

// SetTamper opens or closes the reader's case; the next poll tells it.
func (r *OSDPReader) SetTamper(open bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tamper = open
	r.queue = append(r.queue, r.local())
}

// SetPower takes the reader's own supply away or gives it back; the next poll
// tells it.
func (r *OSDPReader) SetPower(failed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.power = failed
	r.queue = append(r.queue, r.local())
}

// SetInput gives input n, counted from 1, a status: 0 is inactive, 1 active, 2
// short, 3 open. The next poll tells it. One it does not have is ignored.
func (r *OSDPReader) SetInput(n int, status byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= 1 && n <= len(r.inputs) {
		r.inputs[n-1] = status
		r.queue = append(r.queue, osdpReply{0x49, append([]byte(nil), r.inputs...)})
	}
}

// Busy lets the reader put off the next n commands.
func (r *OSDPReader) Busy(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.busy = n
}

// Shows returns the LED's colour, 0 for dark, and whether the buzzer sounds.
func (r *OSDPReader) Shows() (led byte, buzzer bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.led, r.buzzer
}

// Polls returns how many polls it answered, repeats not counted.
func (r *OSDPReader) Polls() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.polls
}

// Serve answers the panel on port, as the only reader, until ctx ends, when it
// returns nil and leaves the port open, or the port fails.
func (r *OSDPReader) Serve(ctx context.Context, port Port) error {
	return NewOSDPLine(r).Serve(ctx, port)
}

func (r *OSDPReader) local() osdpReply {
	var data [2]byte
	if r.tamper {
		data[0] = 1
	}
	if r.power {
		data[1] = 1
	}
	return osdpReply{0x48, data[:]}
}

// receive answers one whole frame, if it is for this reader.
func (r *OSDPReader) receive(ctx context.Context, w io.Writer, frame []byte) error {
	if frame[1] != r.address {
		return nil
	}
	answer := r.answer(frame)
	return r.reply(ctx, w, append([]byte{0xFF}, answer...))
}

// answer returns the frame that answers a sound frame.
func (r *OSDPReader) answer(frame []byte) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.session
	control := frame[4]
	seq := control & 3
	switch {
	case seq == 0:
		*s = osdpSession{}
	case s.answer != nil && seq == s.last && string(frame) == string(s.request):
		return s.answer // the panel did not hear it
	case s.answer == nil || seq != s.last%3+1:
		return r.frame(control&^0x08, nil, 0x41, []byte{4})
	}
	if r.busy > 0 {
		r.busy--
		return r.frame(control&4, nil, 0x79, nil) // its number is 0, and the command is to come again
	}
	answer := r.obey(control, frame[5:len(frame)-osdpCheckSize(control)], frame)
	s.last, s.request, s.answer = seq, append([]byte(nil), frame...), answer
	return answer
}

// obey carries a command out and returns its answer; body is the frame from the
// security block, or the code, on.
func (r *OSDPReader) obey(control byte, body, frame []byte) []byte {
	refuse := func(why byte) []byte { return r.frame(control&^0x08, nil, 0x41, []byte{why}) }
	if control&8 == 0 {
		if len(body) == 0 {
			return refuse(2)
		}
		if r.session.secure != nil {
			return refuse(6)
		}
		a := r.carryOut(body[0], body[1:])
		return r.frame(control, nil, a.code, a.data)
	}
	if len(body) == 0 || body[0] < 2 || int(body[0]) >= len(body) {
		return refuse(2)
	}
	size := int(body[0])
	if r.plain {
		return refuse(5)
	}
	block, code, data := body[1:size], body[size], body[size+1:]
	switch {
	case block[0] == 0x11 && code == 0x76 && len(data) == 8 && len(block) == 2:
		return r.challenged(control, block[1], data)
	case block[0] == 0x13 && code == 0x77 && len(data) == 16 && r.session.secure != nil:
		return r.session.secure.proved(r, control, data)
	case (block[0] == 0x15 || block[0] == 0x17) && len(data) >= 4 && r.session.secure != nil && r.session.secure.open:
		sc := r.session.secure
		plain, ok := sc.incoming(block[0], frame[:len(frame)-osdpCheckSize(control)], data)
		if !ok {
			r.session = osdpSession{}
			return refuse(6)
		}
		a := r.carryOut(code, plain)
		return sc.outgoing(r, control, a)
	}
	return refuse(6)
}

// carryOut returns what the reader tells upon a command.
func (r *OSDPReader) carryOut(code byte, data []byte) osdpReply {
	ack, malformed := osdpReply{code: 0x40}, osdpReply{0x41, []byte{2}}
	switch code {
	case 0x60:
		r.polls++
		if len(r.queue) == 0 {
			return ack
		}
		next := r.queue[0]
		r.queue = r.queue[1:]
		return next
	case 0x61:
		return osdpReply{0x45, r.id}
	case 0x62:
		return osdpReply{0x46, r.caps}
	case 0x64:
		return r.local()
	case 0x65:
		return osdpReply{0x49, append([]byte(nil), r.inputs...)}
	case 0x69:
		if len(data) != 14 {
			return malformed
		}
		if data[9] == 1 {
			r.led = data[12]
		}
		return ack
	case 0x6A:
		if len(data) != 5 {
			return malformed
		}
		r.buzzer = data[1] > 1
		return ack
	}
	return osdpReply{0x41, []byte{3}}
}

// frame puts an answer together.
func (r *OSDPReader) frame(control byte, block []byte, code byte, data []byte) []byte {
	return osdpFrame(0x80|r.address, control, block, code, data, nil)
}

// osdpFrame puts a frame together; mac, where it is not nil, returns the MAC of
// what comes before it.
func osdpFrame(address, control byte, block []byte, code byte, data []byte, mac func([]byte) []byte) []byte {
	f := []byte{0x53, address, 0, 0, control}
	if block != nil {
		f = append(append(f, byte(len(block)+1)), block...)
	}
	f = append(append(f, code), data...)
	length := len(f) + osdpCheckSize(control)
	if mac != nil {
		length += 4
	}
	binary.LittleEndian.PutUint16(f[2:], uint16(length))
	if mac != nil {
		f = append(f, mac(f)...)
	}
	if control&4 == 0 {
		sum := 0
		for _, b := range f {
			sum += int(b)
		}
		return append(f, byte(256-sum%256))
	}
	return binary.LittleEndian.AppendUint16(f, osdpCRC(f))
}

func osdpCheckSize(control byte) int {
	if control&4 != 0 {
		return 2
	}
	return 1
}

// osdpCRC divides by x^16 + x^12 + x^5 + 1, one bit of the message after the
// other, as annex C of the standard draws it.
func osdpCRC(message []byte) uint16 {
	register := uint16(0x1D0F)
	for _, b := range message {
		for bit := 7; bit >= 0; bit-- {
			feedback := register>>15 != uint16(b>>bit&1)
			register <<= 1
			if feedback {
				register ^= 0x1021
			}
		}
	}
	return register
}

// osdpDefaultKey is SCBK-D.
const osdpDefaultKey = "0123456789:;<=>?"

// aesEncrypt encrypts one block.
func aesEncrypt(key, block []byte) []byte {
	c, err := aes.NewCipher(key)
	if err != nil {
		panic(fmt.Sprintf("peripheral: a key of %d bytes", len(key)))
	}
	out := make([]byte, 16)
	c.Encrypt(out, block)
	return out
}
