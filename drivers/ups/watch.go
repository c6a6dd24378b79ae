package ups

import (
	"context"
	"errors"
	"fmt"

	"github.com/longan-edge/longan/drivers"
)

// watch is what is known of one UPS while Run runs.
type watch struct {
	line  *line
	seen  bool
	bits  byte     // of the last status
	asked bool     // F and I
	about []string // what they told
}

// poll asks for the status until it is believed.
func (w *watch) poll(ctx context.Context) (status, error) {
	var last error
	silent := true
	for range tries {
		if ctx.Err() != nil {
			return status{}, ctx.Err()
		}
		s, err := w.believe()
		if err == nil {
			return s, nil
		}
		if portFailed(err) {
			return status{}, err
		}
		last, silent = err, silent && errors.Is(err, errTimeout)
	}
	if silent {
		return status{}, fmt.Errorf("no answer to Q1: %w", drivers.ErrSilent)
	}
	return status{}, fmt.Errorf("ask Q1: %w", last)
}

// believe asks for the status, a second time where its bits differ from the last.
func (w *watch) believe() (status, error) {
	s, err := w.status()
	if err != nil || (w.seen && s.bits == w.bits) {
		return s, err
	}
	again, err := w.status()
	if err != nil {
		return again, err
	}
	if again.bits != s.bits {
		return again, errDiffer
	}
	w.seen, w.bits = true, again.bits
	return again, nil
}

func (w *watch) status() (status, error) {
	answer, err := w.line.ask("Q1")
	if err != nil {
		return status{}, err
	}
	if rejected("Q1", answer) {
		return status{}, fmt.Errorf("%w Q1, or only the echo came back", errRejected)
	}
	s, err := parseStatus(answer)
	if err != nil {
		return s, fmt.Errorf("%w; got %.60q", err, answer)
	}
	return s, nil
}

var errDiffer = errors.New("two answers, one after the other, differ; check baud rate and wiring")

// portFailed reports whether asking again makes no sense.
func portFailed(err error) bool {
	for _, e := range []error{errTimeout, errCut, errBabble, errForm, errRejected, errDiffer} {
		if errors.Is(err, e) {
			return false
		}
	}
	return true
}

// introduce asks once what the UPS is. Only the port can make it fail.
func (w *watch) introduce() error {
	if w.asked {
		return nil
	}
	w.asked = true
	for _, q := range []struct {
		request string
		read    func(string) (string, bool)
	}{{"I", maker}, {"F", rating}} {
		answer, err := w.line.ask(q.request)
		if err != nil && portFailed(err) {
			return err
		}
		if text, ok := q.read(answer); err == nil && ok {
			w.about = append(w.about, text)
		}
	}
	return nil
}
