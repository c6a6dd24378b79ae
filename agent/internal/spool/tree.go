package spool

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

// The layout of bbolt's pages, version 2 of its file format: a header, then as many
// elements as it counts, then keys and values. Numbers are in the machine's order.
const (
	pageHeader  = 16
	elementSize = 16

	branchPage   = 1
	leafPage     = 2
	freelistPage = 0x10

	bucketElement = 1          // flag of a leaf's element
	noFreelist    = ^uint64(0) // in place of its page: bbolt looks for free pages itself

	mostDepth = 32 // of a tree; a file of 4 GiB has less than 8
)

// tree is a look at the pages of a file as they are, without bbolt.
type tree struct {
	file  io.ReaderAt
	pages uint64   // the file holds so many, as far as its meta page says
	seen  []uint64 // a bit for each page that something refers to
}

// checkTree walks all pages and holds them against what bbolt relies on: every page
// is where it says, of a known kind and referred to once, and keys are in order,
// also between a branch and what hangs below it. Where they are not, bbolt panics
// when it opens the file to write, in a goroutine of its own, where nobody can
// recover: so nothing of bbolt's may look first.
func checkTree(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var metas [2 * pageSize]byte
	if _, err := io.ReadFull(f, metas[:]); err != nil {
		return fmt.Errorf("meta pages: %v: %w", err, errCorrupt)
	}
	meta := metas[pageHeader:pageSize]
	const root, freelist, highest, txid = 16, 32, 40, 48
	if other := metas[pageSize+pageHeader:]; native(other[txid:]) > native(meta[txid:]) {
		meta = other
	}
	t := &tree{file: f, pages: native(meta[highest:])}
	if t.pages > uint64(info.Size())/pageSize {
		return fmt.Errorf("file ends before page %d: %w", t.pages, errCorrupt)
	}
	t.seen = make([]uint64, t.pages/64+1)
	for id := range uint64(2) {
		if err := t.claim(id, 1); err != nil {
			return err
		}
	}
	if id := native(meta[freelist:]); id != noFreelist {
		if _, err := t.page(id, freelistPage); err != nil {
			return err
		}
	}
	_, err = t.walk(native(meta[root:]), nil, nil, 0)
	return err
}

func native(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// page reads a page with its overflow, which must be of one of the kinds and not
// referred to before.
func (t *tree) page(id uint64, kinds ...uint16) ([]byte, error) {
	var header [pageHeader]byte
	if id < 2 || id >= t.pages {
		return nil, fmt.Errorf("page %d of %d: %w", id, t.pages, errCorrupt)
	}
	if _, err := t.file.ReadAt(header[:], int64(id*pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %v: %w", id, err, errCorrupt)
	}
	kind, overflow := binary.NativeEndian.Uint16(header[8:]), uint64(binary.NativeEndian.Uint32(header[12:]))
	if native(header[:]) != id || !slices.Contains(kinds, kind) {
		return nil, fmt.Errorf("page %d says that it is page %d, kind %#x: %w", id, native(header[:]), kind, errCorrupt)
	}
	if overflow >= t.pages-id {
		return nil, fmt.Errorf("page %d reaches behind the end: %w", id, errCorrupt)
	}
	if err := t.claim(id, overflow+1); err != nil {
		return nil, err
	}
	b := make([]byte, (overflow+1)*pageSize)
	if _, err := t.file.ReadAt(b, int64(id*pageSize)); err != nil {
		return nil, fmt.Errorf("page %d: %v: %w", id, err, errCorrupt)
	}
	return b, nil
}

// claim notes that something refers to n pages from id on.
func (t *tree) claim(id, n uint64) error {
	for i := id; i < id+n; i++ {
		if i >= t.pages || t.seen[i/64]>>(i%64)&1 != 0 {
			return fmt.Errorf("page %d is used twice: %w", i, errCorrupt)
		}
		t.seen[i/64] |= 1 << (i % 64)
	}
	return nil
}

// walk checks the tree below a page, whose keys must be at least least and less
// than most; nil is no bound. It returns the last key.
func (t *tree) walk(id uint64, least, most []byte, depth int) (last []byte, err error) {
	if depth > mostDepth {
		return nil, fmt.Errorf("page %d is %d levels deep: %w", id, depth, errCorrupt)
	}
	b, err := t.page(id, branchPage, leafPage)
	if err != nil {
		return nil, err
	}
	branch := binary.NativeEndian.Uint16(b[8:]) == branchPage
	count := int(binary.NativeEndian.Uint16(b[10:]))
	if pageHeader+count*elementSize > len(b) || (branch && count == 0) {
		return nil, fmt.Errorf("page %d has %d elements: %w", id, count, errCorrupt)
	}
	last = least
	for i := range count {
		key, err := elementKey(b, i, branch)
		if err != nil {
			return nil, fmt.Errorf("page %d: %w", id, err)
		}
		order := bytes.Compare(last, key)
		if (last != nil && (order > 0 || (order == 0 && i > 0))) || (most != nil && bytes.Compare(key, most) >= 0) {
			return nil, fmt.Errorf("page %d: key %x is out of order: %w", id, key, errCorrupt)
		}
		at := b[pageHeader+i*elementSize:]
		if !branch {
			if last = key; binary.NativeEndian.Uint32(at)&bucketElement != 0 {
				if err := t.bucket(b, i, depth); err != nil {
					return nil, fmt.Errorf("page %d: %w", id, err)
				}
			}
			continue
		}
		below := most
		if i+1 < count {
			if below, err = elementKey(b, i+1, branch); err != nil {
				return nil, fmt.Errorf("page %d: %w", id, err)
			}
		}
		if last, err = t.walk(native(at[8:]), key, below, depth+1); err != nil {
			return nil, err
		}
	}
	return last, nil
}

// elementKey returns the key of an element. A branch's element is position, size
// and page; a leaf's flags, position, size of the key and of the value.
func elementKey(page []byte, i int, branch bool) ([]byte, error) {
	start := pageHeader + i*elementSize
	at := page[start : start+elementSize]
	position, size, value := uint64(binary.NativeEndian.Uint32(at)), uint64(binary.NativeEndian.Uint32(at[4:])), uint64(0)
	if !branch {
		position, size = size, uint64(binary.NativeEndian.Uint32(at[8:]))
		value = uint64(binary.NativeEndian.Uint32(at[12:]))
	}
	from := uint64(start) + position
	if position < elementSize || from+size+value > uint64(len(page)) {
		return nil, fmt.Errorf("element %d reaches out of its page: %w", i, errCorrupt)
	}
	return page[from : from+size], nil
}

// bucket checks the tree of a bucket, whose value begins with its root page; 0 is a
// bucket that lies in the value itself.
func (t *tree) bucket(page []byte, i, depth int) error {
	start := pageHeader + i*elementSize
	at := page[start : start+elementSize]
	from := start + int(binary.NativeEndian.Uint32(at[4:])) + int(binary.NativeEndian.Uint32(at[8:])) // elementKey has seen to it
	value := page[from : from+int(binary.NativeEndian.Uint32(at[12:]))]
	if len(value) < 16 {
		return fmt.Errorf("bucket of %d bytes: %w", len(value), errCorrupt)
	}
	root := native(value)
	if root == 0 {
		return nil
	}
	_, err := t.walk(root, nil, nil, depth+1)
	return err
}
