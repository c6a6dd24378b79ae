// Package dc09 receives what alarm panels report over the center's own network:
// ANSI/SIA DC-09, "Internet Protocol Event Reporting", over TCP and UDP, with the
// contents of SIA DC-03 (token SIA-DCS) and of Contact ID, SIA DC-05 (token
// ADM-CID), in the clear or encrypted with AES-128, -192 or -256.
//
// A [Receiver] is told of accounts, one a panel, and of points. An event code
// makes its point Active, or Fault where it says that a zone can't be trusted,
// and its restoral makes it Normal. What no point is for becomes an event of its
// own at the panel's point, so nothing that a panel was told is stored gets lost.
//
// # Timing
//
// A panel sends one message and repeats it until it is answered, so an answer is
// a promise: the ACK goes out only once emit has returned nil, which is when the
// event is on disk. A message that comes again, as when the ACK was lost, is
// answered again and makes no second event. The memory for this is the process's
// own: a board that dies between the disk and the ACK stores an event without a
// point a second time.
//
// A panel reports changes and no states. So a point is Unknown until the panel
// has reported it once, unless Point.Last says what was known before a restart,
// which is still true, because the panel keeps what was not acknowledged. Every
// message of a panel, its supervision (NULL) above all, renews all its points. A
// panel that sends nothing for Account.Silence makes them Unknown.
//
// # Time
//
// Messages may carry a time, and encrypted ones must: a panel whose time is more
// than 40 s behind or 20 s ahead is refused with a NAK that tells it the right
// one. A board whose clock is not sure can't judge: it accepts all, and sends no
// NAK, because panels set their clocks by it.
//
// # Privacy
//
// Accounts and zones are the installation's. The numbers of users, who armed, who
// used a code, are dropped while a message is read, and so are all its texts and
// all its extensions.
package dc09
