package osdp

import (
	"crypto/subtle"
	"fmt"
)

// handshake makes a secure channel in two exchanges: challenge and client
// cryptogram, server cryptogram and initial reply MAC; D.4.
type handshake struct {
	key     []byte // SCBK or SCBK-D
	keyType byte   // keyOwn or keyDefault
	randomA []byte // 8 fresh random bytes, for one handshake only
	channel *channel
	server  []byte // the server cryptogram
}

// newHandshake takes the key and a fresh random number.
func newHandshake(key []byte, keyType byte, randomA []byte) (*handshake, error) {
	if len(key) != KeySize || len(randomA) != randomSize {
		return nil, fmt.Errorf("a key of %d bytes, a random number of %d: want %d and %d", len(key), len(randomA), KeySize, randomSize)
	}
	c, err := newChannel(key, randomA)
	if err != nil {
		return nil, err
	}
	return &handshake{key: key, keyType: keyType, randomA: randomA, channel: c}, nil
}

// challenge is the first command, CHLNG.
func (h *handshake) challenge() *frame {
	return &frame{code: cmdChallenge, block: []byte{scs11, h.keyType}, data: h.randomA}
}

// challenged checks the answer to challenge, CCRYPT: the reader must have
// encrypted both random numbers with the same key.
func (h *handshake) challenged(f *frame) error {
	if f.code != replyCcrypt || f.blockType() != scs12 || len(f.block) != 2 || len(f.data) != cuidSize+randomSize+blockSize {
		return errHandshake
	}
	if h.keyType == keyOwn && f.block[1] == keyDefault {
		return errNoOwnKey
	}
	randomB, client := f.data[cuidSize:cuidSize+randomSize], f.data[cuidSize+randomSize:]
	if subtle.ConstantTimeCompare(client, h.channel.cryptogram(h.randomA, randomB)) != 1 {
		return errKey
	}
	h.server = h.channel.cryptogram(randomB, h.randomA)
	return nil
}

// prove is the second command, SCRYPT.
func (h *handshake) prove() *frame {
	return &frame{code: cmdScrypt, block: []byte{scs13, h.keyType}, data: h.server}
}

// proved checks the answer to prove, RMAC_I, and returns the channel.
func (h *handshake) proved(f *frame) (*channel, error) {
	if f.code != replyRMAC || f.blockType() != scs14 || len(f.block) != 2 || len(f.data) != blockSize {
		return nil, errHandshake
	}
	if f.block[1] != 1 || subtle.ConstantTimeCompare(f.data, h.channel.begin(h.server)) != 1 {
		return nil, errRefusedKey
	}
	return h.channel, nil
}
