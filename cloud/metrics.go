package cloud

// Metrics counts what a city did since its start.
type Metrics struct {
	Sessions    uint64            // connections to the broker that were subscribed
	Batches     uint64            // received, whatever became of them
	Statuses    uint64            // received, whatever became of them
	Events      uint64            // stored for the first time
	Duplicates  uint64            // events that were stored before
	Conflicts   uint64            // events whose number another event has: a clone?
	Commits     uint64            // transactions with events
	StoreErrors uint64            // transactions that failed
	Acks        uint64            // sent
	Dropped     uint64            // messages for which there was no room
	Refused     map[string]uint64 // messages by what is wrong with them, without zeros

	BrokerRefused uint64 // connections, topics and subscriptions that the embedded broker refused
	BrokerDropped uint64 // messages that the embedded broker dropped
}

// Metrics returns the counts; they are zero before Run.
func (c *Cloud) Metrics() Metrics {
	c.mu.Lock()
	in, b := c.ingest, c.broker
	c.mu.Unlock()
	var m Metrics
	if in != nil {
		n := &in.Metrics
		m = Metrics{
			Sessions: n.Sessions.Load(), Batches: n.Batches.Load(), Statuses: n.Statuses.Load(), Events: n.Events.Load(),
			Duplicates: n.Duplicates.Load(), Conflicts: n.Conflicts.Load(), Commits: n.Commits.Load(),
			StoreErrors: n.StoreErrors.Load(), Acks: n.Acks.Load(), Dropped: n.Dropped.Load(), Refused: n.Refusals(),
		}
	}
	if b != nil {
		m.BrokerRefused, m.BrokerDropped = b.Refused(), b.Dropped()
	}
	return m
}
