package firmwareconfig

import (
	"bytes"

	"github.com/pelletier/go-toml/v2/unstable"
)

// table is a TOML table with the places of everything in it.
type table struct {
	at      span // of its header, or of the inline table
	header  bool // it has a header of its own, so another one is a duplicate
	entries []*entry
}

// entry is one key of a table. Exactly one of value, table and array is set.
type entry struct {
	key   string
	at    span // of the key
	value *value
	table *table
	array []*table // [[key]]
	used  bool     // the decoder asked for it
	// broken: the line was reported; only that the key is there is known.
	broken bool
}

// value is what stands right of "=".
type value struct {
	at    span
	kind  unstable.Kind
	text  string // of a String its content, of other scalars what was typed
	items []*value
	table *table // of an InlineTable
}

func (t *table) get(key string) *entry {
	for _, e := range t.entries {
		if e.key == key {
			return e
		}
	}
	return nil
}

func (t *table) add(e *entry) *entry {
	t.entries = append(t.entries, e)
	return e
}

// maxDepth bounds nested arrays and inline tables; a site file needs two.
const maxDepth = 4

// maxEntries bounds the keys of one table. A site file needs a dozen; looking
// for a key walks the entries.
const maxEntries = 200

// builder turns TOML statements into a tree. After a statement that is wrong it
// goes on with the next line, so that one run finds all problems.
type builder struct {
	*source
	parser  unstable.Parser
	base    int // where the parser's data begins in the source
	root    *table
	current *table // where key = value goes; nil after a wrong header
}

// parseTree reads the whole source. Problems go to src.
func parseTree(src *source) *table {
	b := &builder{source: src, root: &table{}}
	b.current = b.root
	for next := 0; next < len(src.data); {
		start, ok := statement(src.data, next)
		if !ok {
			break
		}
		next = b.read(start)
		if src.more > 0 {
			break
		}
	}
	return b.root
}

// statement returns where the next statement begins at or after offset: behind
// blank lines and comments.
func statement(data []byte, offset int) (int, bool) {
	for offset < len(data) {
		switch data[offset] {
		case ' ', '\t', '\r', '\n':
			offset++
		case '#':
			offset = lineEnd(data, offset)
		default:
			return offset, true
		}
	}
	return offset, false
}

// lineEnd returns the offset of the newline at or after offset, or the end.
func lineEnd(data []byte, offset int) int {
	if i := bytes.IndexByte(data[offset:], '\n'); i >= 0 {
		return offset + i
	}
	return len(data)
}

// read takes the statement at start and returns where to go on.
func (b *builder) read(start int) int {
	b.base = start
	b.parser.Reset(b.data[start:])
	if !b.parser.NextExpression() {
		b.syntax(start, b.parser.Error())
		return b.resume(start)
	}
	n := b.parser.Expression()
	end := start
	switch n.Kind {
	case unstable.Table, unstable.ArrayTable:
		keys, at := b.keys(n.Key())
		end = at.end
		b.open(keys, span{start, closing(b.data, at.end)}, n.Kind == unstable.ArrayTable)
	case unstable.KeyValue:
		end = b.base + int(n.Raw.Offset+n.Raw.Length)
		if b.current != nil {
			b.assign(b.current, n, 0)
		}
	}
	return lineEnd(b.data, end)
}

// closing returns the offset behind the brackets that follow offset.
func closing(data []byte, offset int) int {
	for offset < len(data) && (data[offset] == ']' || data[offset] == ' ' || data[offset] == '\t') {
		offset++
	}
	return offset
}

// resume returns where to go on after the wrong statement at start: the next
// line that does not look like the rest of an array.
func (b *builder) resume(start int) int {
	next := lineEnd(b.data, start)
	for {
		at, ok := statement(b.data, next)
		if !ok || bytes.IndexByte([]byte(`"'],}`), b.data[at]) < 0 || b.data[at] == '"' && bytes.IndexByte(b.data[at:lineEnd(b.data, at)], '=') >= 0 {
			return next
		}
		next = lineEnd(b.data, at)
	}
}

// key is one part of a dotted key.
type key struct {
	name string
	at   span
}

// keys returns the parts of a dotted key and the span of all of them.
func (b *builder) keys(it unstable.Iterator) ([]key, span) {
	var keys []key
	for it.Next() {
		n := it.Node()
		keys = append(keys, key{string(n.Data), b.span(n.Raw)})
	}
	return keys, span{keys[0].at.start, keys[len(keys)-1].at.end}
}

func (b *builder) span(r unstable.Range) span {
	return span{b.base + int(r.Offset), b.base + int(r.Offset+r.Length)}
}

// open makes the table of a header the current one.
func (b *builder) open(keys []key, at span, array bool) {
	t := b.root
	for _, k := range keys[:len(keys)-1] {
		if t = b.descend(t, k); t == nil {
			b.current = nil
			return
		}
	}
	last := keys[len(keys)-1]
	b.current = &table{at: at, header: true}
	e := t.get(last.name)
	switch {
	case e == nil && len(t.entries) >= maxEntries:
		b.tooMany(last)
		b.current = nil
	case e == nil && array:
		t.add(&entry{key: last.name, at: last.at, array: []*table{b.current}})
	case e == nil:
		t.add(&entry{key: last.name, at: last.at, table: b.current})
	case array && e.array != nil:
		e.array = append(e.array, b.current)
	case !array && e.table != nil && !e.table.header:
		e.table.header, e.table.at = true, at
		b.current = e.table
	default:
		b.duplicateSection(last, e, at)
	}
}

// duplicateSection reports a header for what is there already.
func (b *builder) duplicateSection(k key, e *entry, at span) {
	hint := say("把两段合并成一段。", "Merge the two into one.")
	switch k.name {
	case "peripheral", "point", "output":
		hint = say("可以有多个的要用双方括号，每一个都是：[[%s]]", "What may occur several times has double brackets, each of them: [[%s]]", b.sectionName(at))
	}
	b.report(at, say("%s 重复：第 %d 行已经有了。", "%s is a duplicate: line %d has it already.", b.raw(at), b.line(e.at.start)), hint)
}

// sectionName returns a header's text without its brackets.
func (b *builder) sectionName(at span) string {
	return string(bytes.Trim(b.data[at.start:at.end], "[] \t"))
}

// descend returns the table that k names in t, made if need be; nil after a
// problem.
func (b *builder) descend(t *table, k key) *table {
	e := t.get(k.name)
	switch {
	case e == nil && len(t.entries) >= maxEntries:
		b.tooMany(k)
		return nil
	case e == nil:
		sub := &table{at: k.at}
		t.add(&entry{key: k.name, at: k.at, table: sub})
		return sub
	case e.table != nil:
		return e.table
	case e.array != nil:
		return e.array[len(e.array)-1]
	case e.broken:
		return nil
	}
	b.report(k.at, say("%s 在第 %d 行是一个值，不能再当作段落。", "%s is a value in line %d and can't be a section too.", k.name, b.line(e.at.start)), text{})
	return nil
}

func (b *builder) tooMany(k key) {
	b.report(k.at, say("这一段的键太多（上限 %d）。", "too many keys in this section (limit %d).", maxEntries), text{})
}

// assign adds a key = value statement to t.
func (b *builder) assign(t *table, n *unstable.Node, depth int) {
	keys, at := b.keys(n.Key())
	for _, k := range keys[:len(keys)-1] {
		if t = b.descend(t, k); t == nil {
			return
		}
	}
	last := keys[len(keys)-1]
	if e := t.get(last.name); e != nil {
		if e.broken {
			return
		}
		b.report(last.at, say("%s 写了两次：第 %d 行已经有了。", "%s is given twice: line %d has it already.", last.name, b.line(e.at.start)),
			say("删掉其中一行。", "Delete one of the two lines."))
		return
	}
	if len(t.entries) >= maxEntries {
		b.tooMany(last)
		return
	}
	whole := b.span(n.Raw)
	from := at.end
	for from < whole.end && (b.data[from] == ' ' || b.data[from] == '\t' || b.data[from] == '=') {
		from++
	}
	t.add(&entry{key: last.name, at: last.at, value: b.value(n.Value(), span{from, whole.end}, depth)})
}

// value converts a parsed value; at is its place.
func (b *builder) value(n *unstable.Node, at span, depth int) *value {
	v := &value{at: at, kind: n.Kind, text: string(n.Data)}
	if n.Kind != unstable.Array && n.Kind != unstable.InlineTable {
		return v
	}
	if depth >= maxDepth {
		b.report(at, say("方括号或花括号套得太深。", "too many brackets within brackets."), text{})
		v.kind = unstable.Invalid
		return v
	}
	if n.Kind == unstable.InlineTable {
		v.table = &table{at: at, header: true}
	}
	for it := n.Children(); it.Next(); {
		c := it.Node()
		switch c.Kind {
		case unstable.Comment:
		case unstable.KeyValue:
			b.assign(v.table, c, depth+1)
		default:
			place := at
			if c.Raw.Length > 0 && c.Kind != unstable.InlineTable {
				place = b.span(c.Raw)
			}
			v.items = append(v.items, b.value(c, place, depth+1))
		}
	}
	return v
}
