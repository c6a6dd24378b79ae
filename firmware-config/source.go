package firmwareconfig

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxProblems bounds how many problems of one file are reported: past it the
// file is something else than a site file.
const maxProblems = 50

// span is a range of bytes of the source.
type span struct{ start, end int }

// source is a file that is being read, and what was found wrong with it.
type source struct {
	name     string
	data     []byte
	lang     Language
	problems Problems
	more     int // problems past maxProblems
}

// report adds a problem at that place.
func (s *source) report(at span, what, hint text) {
	if len(s.problems) >= maxProblems {
		s.more++
		return
	}
	p := Problem{File: s.name, Text: printable(what.in(s.lang)), Hint: printable(hint.in(s.lang)), offset: at.start}
	start := min(max(at.start, 0), len(s.data))
	if start == len(s.data) && start > 0 && s.data[start-1] == '\n' {
		start-- // the end of the last line, not a line after it
	}
	lineStart := bytes.LastIndexByte(s.data[:start], '\n') + 1
	line := s.data[lineStart:]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	line = bytes.TrimSuffix(line, []byte("\r"))
	p.Line = bytes.Count(s.data[:lineStart], []byte("\n")) + 1
	p.Column = utf8.RuneCount(s.data[lineStart:start]) + 1
	p.Snippet, p.Marker = snippet(line, start-lineStart, max(at.end, start+1)-lineStart)
	s.problems = append(s.problems, p)
}

// reportFile adds a problem of the file as a whole.
func (s *source) reportFile(what, hint text) {
	s.problems = append(s.problems, Problem{File: s.name, Text: printable(what.in(s.lang)), Hint: printable(hint.in(s.lang)), offset: -1})
}

// line returns the number of the line that holds the offset.
func (s *source) line(offset int) int {
	return bytes.Count(s.data[:min(offset, len(s.data))], []byte("\n")) + 1
}

// raw returns the text of a span on one line, at most some characters of it.
func (s *source) raw(at span) string {
	return clip(string(s.data[at.start:at.end]))
}

// err returns what was reported, sorted, or nil.
func (s *source) err() error {
	if len(s.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(s.problems, func(a, b Problem) int { return cmp.Compare(a.offset, b.offset) })
	if s.more > 0 {
		s.problems = append(s.problems, Problem{File: s.name, offset: len(s.data), Text: say(
			"还有 %d 处问题没有列出，请先改上面的。", "%d more problems are not shown; mend these first.", s.more).in(s.lang)})
	}
	return s.problems
}

// printable makes a message that quotes the file safe and short enough for a
// terminal.
func printable(s string) string {
	const most = 300
	shown := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
	if r := []rune(shown); len(r) > most {
		return string(r[:most]) + "..."
	}
	return shown
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 40
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most]) + "..."
}
