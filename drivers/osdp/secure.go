package osdp

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
)

// Sizes of annex D, in bytes.
const (
	KeySize    = 16 // of a secure channel base key
	randomSize = 8
	cuidSize   = 8
	blockSize  = aes.BlockSize
)

// keyDefault and keyOwn say in security blocks 11 to 13 which key is meant.
const (
	keyDefault = 0x00 // SCBK-D
	keyOwn     = 0x01 // SCBK
)

// defaultKey returns SCBK-D, which the standard publishes.
func defaultKey() []byte {
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = 0x30 + byte(i)
	}
	return key
}

// Why a secure channel does not come about or ends.
var (
	errKey         = errors.New("the key is not the reader's")
	errNoOwnKey    = errors.New("the reader has only the default key: give it one of its own, or set its installation flag for a while")
	errHandshake   = errors.New("the reader's part of the handshake is malformed")
	errRefusedKey  = errors.New("the reader refused the handshake: its key is another one")
	errMAC         = errors.New("the MAC is wrong: somebody else sends on this line, or the reader lost its session")
	errUnprotected = errors.New("the reader answered outside the secure channel")
	errPadding     = errors.New("the decrypted data has no padding")
)

// channel is a secure channel of one reader, seen from either end: before the
// handshake only its random number and key count.
type channel struct {
	enc, mac1, mac2 cipher.Block    // the session keys
	command, reply  [blockSize]byte // the MACs of the last command and the last reply
}

// newChannel derives the session keys; D.4.1.
func newChannel(key, randomA []byte) (*channel, error) {
	base, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	derive := func(a, b byte) cipher.Block {
		var in [blockSize]byte
		in[0], in[1] = a, b
		copy(in[2:], randomA[:6])
		base.Encrypt(in[:], in[:])
		session, _ := aes.NewCipher(in[:]) // 16 bytes always are a key
		return session
	}
	return &channel{enc: derive(0x01, 0x82), mac1: derive(0x01, 0x01), mac2: derive(0x01, 0x02)}, nil
}

// cryptogram encrypts two random numbers: A and B give the client's, which the
// reader proves itself with, B and A the server's; D.4.2.
func (c *channel) cryptogram(first, second []byte) []byte {
	out := make([]byte, 0, blockSize)
	out = append(append(out, first...), second...)
	c.enc.Encrypt(out, out)
	return out
}

// begin makes the initial reply MAC from the server's cryptogram; D.4.3.
func (c *channel) begin(server []byte) []byte {
	c.mac1.Encrypt(c.reply[:], server)
	c.mac2.Encrypt(c.reply[:], c.reply[:])
	return c.reply[:]
}

// mac is the MAC of a message, chained to the one before; D.5.
func (c *channel) mac(message []byte, before [blockSize]byte) [blockSize]byte {
	sum := before
	for {
		var block [blockSize]byte
		n := copy(block[:], message)
		message = message[n:]
		if n < blockSize {
			block[n] = 0x80
		}
		subtle.XORBytes(sum[:], sum[:], block[:])
		if len(message) == 0 {
			c.mac2.Encrypt(sum[:], sum[:])
			return sum
		}
		c.mac1.Encrypt(sum[:], sum[:])
	}
}

// encrypt pads and encrypts data. The initial vector is the complement of the
// last MAC in the other direction; D.6.
func (c *channel) encrypt(data []byte, other [blockSize]byte) []byte {
	padded := append(append(make([]byte, 0, len(data)+blockSize), data...), 0x80)
	padded = append(padded, make([]byte, -len(padded)&(blockSize-1))...)
	cipher.NewCBCEncrypter(c.enc, complement(other)).CryptBlocks(padded, padded)
	return padded
}

// decrypt is the reverse of encrypt.
func (c *channel) decrypt(data []byte, other [blockSize]byte) ([]byte, error) {
	if len(data) == 0 || len(data)%blockSize != 0 {
		return nil, errPadding
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(c.enc, complement(other)).CryptBlocks(plain, data)
	n := len(plain) - 1
	for n > 0 && plain[n] == 0 {
		n--
	}
	if plain[n] != 0x80 || len(plain)-n > blockSize {
		return nil, errPadding
	}
	return plain[:n], nil
}

func complement(mac [blockSize]byte) []byte {
	iv := mac
	for i := range iv {
		iv[i] = ^iv[i]
	}
	return iv[:]
}

// seal turns a plain command into one that goes through the channel, and moves
// the channel on.
func (c *channel) seal(f *frame) {
	f.block = []byte{scs15}
	if len(f.data) > 0 {
		f.block[0] = scs17
		f.data = c.encrypt(f.data, c.reply)
	}
	c.command = c.mac(f.head(macSize), c.reply)
	f.mac = append([]byte(nil), c.command[:macSize]...)
}

// open checks a reply that came through the channel, decrypts its data in place
// of the frame's and moves the channel on. On an error it has not moved.
func (c *channel) open(f *frame) error {
	t := f.blockType()
	if t != scs16 && t != scs18 {
		return errUnprotected
	}
	sum := c.mac(f.signed, c.command)
	if subtle.ConstantTimeCompare(sum[:macSize], f.mac) != 1 {
		return errMAC
	}
	if t == scs18 && len(f.data) > 0 { // some say 18 where there is nothing to encrypt
		plain, err := c.decrypt(f.data, c.command)
		if err != nil {
			return err
		}
		f.data = plain
	}
	c.reply = sum
	return nil
}
