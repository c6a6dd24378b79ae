package cross

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/longan-edge/longan"

// source is one Go file of the module, parsed whatever its build constraints.
type source struct {
	path string // from the module's root, with slashes
	text string
	fset *token.FileSet
	file *ast.File
}

func parseSource(path, text string) (source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path, text, fset, file}, err
}

// folder is where the file is, "" for the module's root.
func (s source) folder() string {
	if dir := path.Dir(s.path); dir != "." {
		return dir
	}
	return ""
}

func (s source) test() bool { return strings.HasSuffix(s.path, "_test.go") }

// at says where in a file a rule is broken, which rule, and why it is one.
func (s source) at(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.fset.Position(pos).Line) + fmt.Sprintf(format, args...)
}

// imports calls f for every import with its path.
func (s source) imports(f func(pos token.Pos, path string)) {
	for _, spec := range s.file.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			f(spec.Pos(), p)
		}
	}
}

// sources returns every Go file of the module. It reads directories and files
// itself, through package os: so the test cache sees all of them, which it
// would not if a child process like go list did the reading.
func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	walk(t, root, "", func(rel string) {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(rel)))
		if err != nil {
			t.Fatal(err)
		}
		s, err := parseSource(rel, string(text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	})
	if len(all) < 10 {
		t.Fatalf("found %d Go files below %s: the tree is not where this test looks", len(all), root)
	}
	return all
}

// walk calls f for the Go files below rel, leaving out what the go command does.
func walk(t *testing.T, root, rel string, f func(rel string)) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, filepath.FromSlash(rel)))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
			continue
		}
		switch {
		case e.IsDir() && name != "testdata" && !(rel == "" && (name == "dist" || name == "bin")):
			walk(t, root, path.Join(rel, name), f)
		case !e.IsDir() && strings.HasSuffix(name, ".go"):
			f(path.Join(rel, name))
		}
	}
}

// within reports whether folder is dir or below it.
func within(folder, dir string) bool {
	return folder == dir || strings.HasPrefix(folder, dir+"/")
}
