// Package modbus reads and switches RS-485 digital I/O modules: a master of
// Modbus RTU, after "MODBUS over Serial Line, Specification and Implementation
// Guide V1.02" and "MODBUS Application Protocol Specification V1.1b3".
//
// A [Module] polls the inputs of one slave with one request, so a pressed
// button is seen within a poll. Each point is emitted each time, and as Unknown
// when the module does not answer any more.
//
// # Framing
//
// RTU frames end with 3.5 characters of silence. A board can't see that through
// a USB adaptor, which hands bytes over in lumps; so an answer is found by what
// it must be instead: the slave, the function, the length that follows from the
// request, and the checksum. What stands before it or after it (noise, the echo
// of the request on a two-wire adaptor, another slave's answer) is passed over,
// and each request waits until the line has been silent for 3.5 characters.
//
// # Layers
//
// codec.go and request.go are the bytes, pure functions; bus is a master on one
// line, who exchanges a request of any slave; Module is one slave's points. A
// further function is a new request and its decoder, a further slave a second
// user of the same bus.
package modbus
