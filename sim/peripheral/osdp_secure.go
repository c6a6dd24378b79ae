package peripheral

import "crypto/aes"

// osdpSecure is the reader's side of a secure channel, annex D of the standard.
type osdpSecure struct {
	enc, mac1, mac2 []byte
	server          []byte // the cryptogram that is expected
	keyType         byte
	open            bool // the handshake is done
	command, reply  []byte
}

// challenged begins a handshake.
func (r *OSDPReader) challenged(control, keyType byte, randomA []byte) []byte {
	key := r.key
	has := byte(1)
	if len(key) == 0 {
		key, has = []byte(osdpDefaultKey), 0
	}
	if keyType == 0 && has == 1 {
		return r.frame(control&^0x08, nil, 0x41, []byte{6}) // it was given a key of its own
	}
	session := func(a, b byte) []byte {
		return aesEncrypt(key, append([]byte{a, b}, append(append([]byte{}, randomA[:6]...), make([]byte, 8)...)...))
	}
	s := &osdpSecure{enc: session(1, 0x82), mac1: session(1, 1), mac2: session(1, 2), keyType: has}
	randomB := r.random[:]
	client := aesEncrypt(s.enc, append(append([]byte{}, randomA...), randomB...))
	s.server = aesEncrypt(s.enc, append(append([]byte{}, randomB...), randomA...))
	r.session.secure = s
	data := append(append(append([]byte{}, r.id[:8]...), randomB...), client...)
	return r.frame(control, []byte{0x12, has}, 0x76, data)
}

// proved ends it.
func (s *osdpSecure) proved(r *OSDPReader, control byte, server []byte) []byte {
	verdict := byte(1)
	if string(server) != string(s.server) {
		verdict = 0xFF
	}
	s.reply = aesEncrypt(s.mac2, aesEncrypt(s.mac1, server))
	s.open = verdict == 1
	return r.frame(control, []byte{0x14, verdict}, 0x78, s.reply)
}

// incoming checks a command's MAC and returns its data in the clear.
func (s *osdpSecure) incoming(block byte, signed, data []byte) ([]byte, bool) {
	mac := data[len(data)-4:]
	data = data[:len(data)-4]
	sum := s.sum(signed[:len(signed)-4], s.reply)
	if string(mac) != string(sum[:4]) {
		return nil, false
	}
	s.command = sum
	if block == 0x15 {
		return data, true
	}
	if len(data) == 0 || len(data)%16 != 0 {
		return nil, false
	}
	before := inverted(s.reply)
	var plain []byte
	c, err := aes.NewCipher(s.enc)
	if err != nil {
		return nil, false
	}
	for i := 0; i < len(data); i += 16 {
		out := make([]byte, 16)
		c.Decrypt(out, data[i:i+16])
		plain = append(plain, xored(out, before)...)
		before = data[i : i+16]
	}
	end := len(plain)
	for end > 0 && plain[end-1] == 0 {
		end--
	}
	if end == 0 || plain[end-1] != 0x80 {
		return nil, false
	}
	return plain[:end-1], true
}

// outgoing is the frame of an answer.
func (s *osdpSecure) outgoing(r *OSDPReader, control byte, a osdpReply) []byte {
	block, data := []byte{0x16}, []byte(nil)
	if len(a.data) > 0 {
		block = []byte{0x18}
		padded := append(append([]byte{}, a.data...), 0x80)
		for len(padded)%16 != 0 {
			padded = append(padded, 0)
		}
		before := inverted(s.command)
		for i := 0; i < len(padded); i += 16 {
			before = aesEncrypt(s.enc, xored(padded[i:i+16], before))
			data = append(data, before...)
		}
	}
	return osdpFrame(0x80|r.address, control, block, a.code, data, func(message []byte) []byte {
		s.reply = s.sum(message, s.command)
		return s.reply[:4]
	})
}

// sum is the MAC of a message after the one before.
func (s *osdpSecure) sum(message, before []byte) []byte {
	padded := append([]byte{}, message...)
	if len(padded)%16 != 0 {
		padded = append(padded, 0x80)
	}
	for len(padded)%16 != 0 {
		padded = append(padded, 0)
	}
	for ; len(padded) > 16; padded = padded[16:] {
		before = aesEncrypt(s.mac1, xored(padded[:16], before))
	}
	return aesEncrypt(s.mac2, xored(padded, before))
}

func xored(a, b []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = a[i] ^ b[i]
	}
	return out
}

func inverted(a []byte) []byte {
	out := make([]byte, len(a))
	for i := range a {
		out[i] = ^a[i]
	}
	return out
}
