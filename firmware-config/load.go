package firmwareconfig

import (
	"bytes"
	_ "embed"
	"errors"
	"io"
	"io/fs"
	"os"
)

// MaxFile bounds a site file, in bytes.
const MaxFile = 256 << 10

//go:embed site.example.toml
var example []byte

// Example returns a complete site file with comments in Chinese, to begin a new
// one with.
func Example() []byte { return bytes.Clone(example) }

// Load reads and checks a site file. Everything wrong with it, including that it
// can't be read, is in the error, which is a Problems in that language.
func Load(path string, lang Language) (*Site, error) {
	src := &source{name: path, lang: lang}
	data, err := readFile(path)
	if err != nil {
		src.reportFile(unreadable(err))
		return nil, src.err()
	}
	return Parse(path, data, lang)
}

// readFile reads at most one byte more than a site file may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

func unreadable(err error) (what, hint text) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return say("没有这个文件。", "there is no such file."), say("检查路径和文件名。", "Check the path and the name.")
	case errors.Is(err, fs.ErrPermission):
		return say("没有权限读这个文件。", "no permission to read the file."), say("用 sudo 再试一次。", "Try again with sudo.")
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return say("读不了：%v。", "can't read: %v.", err), text{}
}

// Parse checks the text of a site file; name is what the problems call it. The
// error is a Problems in that language, with all problems of the file.
func Parse(name string, src []byte, lang Language) (*Site, error) {
	s := &site{source: &source{name: name, lang: lang}, taken: newTaken()}
	if s.load(src) {
		root := parseTree(s.source)
		s.parse(root)
	}
	if err := s.err(); err != nil {
		return nil, err
	}
	return &s.out, nil
}
