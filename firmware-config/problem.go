package firmwareconfig

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a file, said to the person who typed
// it.
type Problem struct {
	File   string // as the caller named it
	Line   int    // counts from 1; 0 when the problem is the file as a whole
	Column int    // counts characters from 1
	Text   string // what is wrong, one sentence
	Hint   string // what to write instead, may be ""
	// Snippet is the source line, tabs and control characters made printable,
	// clipped around the place when it is long; "" when Line is 0.
	Snippet string
	// Marker goes under Snippet: spaces and ^~~~, aligned for terminals that
	// show Chinese characters two columns wide.
	Marker string

	offset int // in the file, to sort by
}

// Error returns the problem as a compiler would print it: file:line:column and
// the text, then the source line with its marker, then the hint.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": " + p.Text)
	if p.Snippet != "" {
		number := fmt.Sprintf("%5d", p.Line)
		fmt.Fprintf(&b, "\n%s | %s\n%s | %s", number, p.Snippet, strings.Repeat(" ", len(number)), p.Marker)
	}
	if p.Hint != "" {
		b.WriteString("\n      = " + p.Hint)
	}
	return b.String()
}

// Problems is everything that is wrong with a file, in the order of the file.
// It is never empty when it is returned as an error.
type Problems []Problem

// Error returns all problems, one after the other.
func (ps Problems) Error() string {
	all := make([]string, len(ps))
	for i := range ps {
		all[i] = ps[i].Error()
	}
	return strings.Join(all, "\n")
}
