// Package ups watches uninterruptible power supplies over their serial port, by
// the protocol that most small ones speak: Megatec, also called Q1 or Qx. Megatec
// (Phoenixtec), "UPS communication protocol" of 1996, requests Q1, F and I.
//
// Q1 answers with voltages, load, battery, temperature and eight status bits. F
// and I, what the UPS is made for and who made it, are asked once for the details
// and may stay unanswered. The driver sends nothing else: it never switches a UPS
// off or tests its battery.
//
// # Timing
//
// The line has 2400 baud, so an answer takes a fifth of a second. A Q1 answer has
// no checksum: it must have the right form, and status bits that differ from the
// last ones count once the next answer, asked for at once, says the same. Three
// requests without a right answer end Run; with the poll before them that is under
// five seconds.
package ups
