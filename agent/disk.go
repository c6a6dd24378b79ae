package agent

import (
	"context"
	"encoding/json"
	"time"

	"github.com/longan-edge/longan"
)

// Causes of a device.fault.
const (
	causeDisk     = "disk"      // it takes nothing
	causeDiskSlow = "disk-slow" // a commit took more than a second
)

// diskRetry is how long news of the disk that could not be accepted waits.
const diskRetry = 10 * time.Second

// watchDisk turns the disk's health into events until ctx ends. owed tells that
// the event that the agent runs could not be accepted; it is made up for.
func (c *center) watchDisk(ctx context.Context, owed bool) {
	told := map[string]bool{}
	for {
		trouble := c.spool.Trouble()
		h := c.spool.Health()
		if owed && h.Err == nil {
			owed = c.started(ctx) != nil
		}
		slow := ""
		if h.Slow > 0 {
			slow = "a commit took " + h.Slow.Round(time.Millisecond).String()
		}
		failed := ""
		if h.Err != nil {
			failed = h.Err.Error()
		}
		done := c.tell(ctx, told, causeDisk, failed)
		done = c.tell(ctx, told, causeDiskSlow, slow) && done
		c.signal()
		var retry <-chan time.Time
		if !done || owed {
			retry = time.After(diskRetry)
		}
		select {
		case <-trouble:
		case <-retry:
		case <-ctx.Done():
			return
		}
	}
}

// tell accepts the event that a cause of trouble began or ended, if it was not
// told yet. It returns false when that has to be tried again.
func (c *center) tell(ctx context.Context, told map[string]bool, cause, trouble string) bool {
	if told[cause] == (trouble != "") {
		return true
	}
	ch := change{Lane: longan.State, Type: longan.DeviceRestored, Data: diskData(cause, "")}
	if trouble != "" {
		ch.Type, ch.Data = longan.DeviceFault, diskData(cause, clip(trouble))
	}
	if err := c.accept(ctx, []change{ch}); err != nil {
		return false
	}
	told[cause] = trouble != ""
	return true
}

func diskData(cause, text string) json.RawMessage {
	data, err := json.Marshal(struct {
		Cause string `json:"cause"`
		Error string `json:"error,omitempty"`
	}{cause, text})
	if err != nil {
		return nil // not reached: two strings
	}
	return data
}

// diskStatus returns how the spool's disk fares.
func (c *center) diskStatus() *longan.DiskStatus {
	h, st := c.spool.Health(), c.spool.Stats()
	d := &longan.DiskStatus{
		OK: h.Err == nil, Slow: h.Slow, InMemory: uint64(h.InMemory), WrittenToday: st.WrittenToday, Life: st.Life,
	}
	if h.Err != nil {
		d.Error = clip(h.Err.Error())
	}
	return d
}
