package firmwareconfig

// bus is a port that several peripherals share, told apart by their addresses.
type bus struct {
	driver, parity string
	baud           int
	line           int         // of the port of the first one
	addresses      map[int]int // and the line that has it
}

// bus reports whether the port may be shared by a peripheral of that driver.
func (s *site) bus(port string, spec *driverSpec) bool {
	b := s.taken.buses[port]
	return s.taken.ports[port] == 0 || (b != nil && b.driver == spec.name)
}

// join lets a peripheral that has an address share its port: with others of the
// same driver, rate and parity, and another address.
func (s *site) join(r *reader, p *Peripheral) {
	e := r.t.get("port")
	if p.Port == "" || e == nil || e.value == nil {
		return
	}
	at := e.value.at
	if a := r.t.get("address"); a != nil && a.value != nil {
		at = a.value.at
	}
	b := s.taken.buses[p.Port]
	if b == nil {
		if s.taken.ports[p.Port] != 0 {
			return // of another driver, which port has reported
		}
		line := s.line(e.value.at.start)
		s.taken.ports[p.Port] = line
		s.taken.buses[p.Port] = &bus{driver: p.Driver, parity: p.Parity, baud: p.Baud, line: line, addresses: map[int]int{p.Address: s.line(at.start)}}
		return
	}
	if b.driver != p.Driver {
		return
	}
	if b.baud != p.Baud || b.parity != p.Parity {
		r.report(e.value.at, say("同一条线上的外设，波特率和校验要一样：第 %d 行的是 %d %s，这里是 %d %s。", "peripherals on one line have one rate and parity: that of line %d has %d %s, this one %d %s.",
			b.line, b.baud, b.parity, p.Baud, p.Parity), say("写成：baud = %d 和 parity = \"%s\"，并在外设上设成一样。", "Write: baud = %d and parity = \"%s\", and set the peripheral to it.", b.baud, b.parity))
	}
	if before, ok := b.addresses[p.Address]; ok {
		r.report(at, say("同一条线上地址 %d 重复：第 %d 行已经用了。", "the address %d is on this line already: line %d has it.", p.Address, before),
			say("给每个外设设一个不同的地址，再写进来：address = %d", "Give each peripheral an address of its own, and write it here: address = %d", p.Address+1))
		return
	}
	b.addresses[p.Address] = s.line(at.start)
}
