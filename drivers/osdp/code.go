package osdp

import "fmt"

// Commands and replies, by their codes in annex A of the standard: those this
// panel sends and understands.
const (
	cmdPoll      = 0x60
	cmdID        = 0x61
	cmdCap       = 0x62
	cmdLstat     = 0x64
	cmdIstat     = 0x65
	cmdLED       = 0x69
	cmdBuz       = 0x6A
	cmdChallenge = 0x76
	cmdScrypt    = 0x77

	replyACK    = 0x40
	replyNAK    = 0x41
	replyPDID   = 0x45
	replyPDCap  = 0x46
	replyLstatR = 0x48
	replyIstatR = 0x49
	replyRaw    = 0x50
	replyKeypad = 0x53
	replyCcrypt = 0x76
	replyRMAC   = 0x78
	replyBusy   = 0x79
)

// Nak is the code with which a reader refuses a command.
type Nak byte

// The codes that the panel acts on.
const (
	NakCheck    Nak = 1 // checksum or CRC wrong
	NakCommand  Nak = 3 // command unknown to the reader
	NakSequence Nak = 4 // sequence number not the expected one
	NakBlock    Nak = 5 // security block not supported
	NakSecurity Nak = 6 // the command needs a secure channel
)

// Error returns what the standard says of the code.
func (n Nak) Error() string {
	names := map[Nak]string{
		NakCheck: "checksum wrong", 2: "command length wrong", NakCommand: "unknown command",
		NakSequence: "unexpected sequence number", NakBlock: "security block not supported",
		NakSecurity: "a secure channel is needed", 7: "biometric type not supported",
		8: "biometric format not supported", 9: "record not processed",
	}
	if name, ok := names[n]; ok {
		return fmt.Sprintf("refused: NAK %d (%s)", byte(n), name)
	}
	return fmt.Sprintf("refused: NAK %d", byte(n))
}
