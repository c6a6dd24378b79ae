package firmwareconfig

import (
	"errors"

	"github.com/pelletier/go-toml/v2/unstable"
)

// syntax reports why the statement at start is not TOML. The usual slips are
// looked for first, because the parser sees only bytes.
func (b *builder) syntax(start int, err error) {
	end := lineEnd(b.data, start)
	line := b.data[start:end]
	place := span{start, end}
	if e, ok := errors.AsType[*unstable.ParserError](err); ok && len(e.Highlight) > 0 {
		r := b.parser.Range(e.Highlight)
		place = b.span(r)
	}
	_ = line
	b.report(place, say("写法不对：%v", "not valid: %v", err), text{})
}
