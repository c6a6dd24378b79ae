package cross

import (
	"go/ast"
	"go/build/constraint"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules of the house: what reviews would otherwise have to find.

const maxLines = 400

// houseRules are the checks of one file each.
var houseRules = []func(source) []string{
	checkInit, checkName, checkMain, checkLength, checkSleep, checkTags, checkReferences, checkWallClock,
}

func checkInit(s source) (broken []string) {
	for _, d := range s.file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			broken = append(broken, s.at(f.Pos(), "func init: what happens at import can't be tested or left out; call it from main"))
		}
	}
	return broken
}

var emptyNames = []string{"util", "utils", "common", "helper", "helpers", "types", "manager", "misc", "base"}

func checkName(s source) []string {
	name := strings.TrimSuffix(s.file.Name.Name, "_test")
	if slices.Contains(emptyNames, name) || slices.Contains(emptyNames, path.Base(s.folder())) {
		return []string{s.at(s.file.Package, "package %s in %q: name it after what it provides", name, s.folder())}
	}
	return nil
}

func checkMain(s source) []string {
	if s.file.Name.Name == "main" && path.Base(path.Dir(s.folder())) != "cmd" {
		return []string{s.at(s.file.Package, "package main outside */cmd/*: logic in main can't be imported by a test")}
	}
	return nil
}

func checkLength(s source) []string {
	if n := strings.Count(s.text, "\n"); n > maxLines && !s.test() {
		return []string{s.at(s.file.End(), "%d lines, at most %d: one subject a file", n, maxLines)}
	}
	return nil
}

func checkSleep(s source) (broken []string) {
	if !s.test() || strings.Contains(s.text, `"testing/synctest"`) {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
				broken = append(broken, s.at(sel.Pos(), "time.Sleep in a test: it is slow or it is flaky; use testing/synctest, or poll with a deadline"))
			}
		}
		return true
	})
	return broken
}

var simulationTag = regexp.MustCompile(`(?i)sim|fake|mock|stub|demo`)

func checkTags(s source) (broken []string) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if !constraint.IsGoBuild(c.Text) {
				continue
			}
			expr, err := constraint.Parse(c.Text)
			if err != nil {
				broken = append(broken, s.at(c.Pos(), "%s: %v", c.Text, err))
				continue
			}
			expr.Eval(func(tag string) bool {
				if simulationTag.MatchString(tag) {
					broken = append(broken, s.at(c.Pos(), "build tag %s: the program that is tested must be the program that ships; pass fakes in", tag))
				}
				return true
			})
		}
	}
	return broken
}

// outsideFolders are places that exist only where the project is worked on. They
// are put together here, for this file is checked as well.
var outsideFolders = []string{"shared" + "/", "/work" + "/", "facts" + "/"}

func checkReferences(s source) (broken []string) {
	line := 0
	for text := range strings.Lines(s.text) {
		line++
		for _, ref := range outsideFolders {
			if strings.Contains(text, ref) {
				broken = append(broken, s.at(s.fset.File(s.file.Package).LineStart(line), "refers to %s, which no reader of this repository has", ref))
			}
		}
	}
	return broken
}

// wallClockUsers are the board's files that may take the wall clock for a number:
// for a label, never to wait, order or expire by.
var wallClockUsers = []string{
	"agent/internal/clock/city.go",
	"agent/internal/spool/file.go", // the name of a file that is set aside
	"agent/internal/spool/wear.go", // the day that bytes are counted for
}

// checkWallClock: a time.Time carries a monotonic reading, by which differences and
// deadlines are right whatever becomes of the wall clock. A number of seconds
// does not.
func checkWallClock(s source) (broken []string) {
	onBoard := slices.ContainsFunc([]string{"agent", "drivers"}, func(dir string) bool { return within(s.folder(), dir) })
	if !onBoard || s.test() || slices.Contains(wallClockUsers, s.path) {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		none := len(call.Args) == 0
		zero := len(call.Args) == 1 && isZero(call.Args[0])
		switch name := sel.Sel.Name; {
		case none && (name == "Unix" || name == "UnixMilli" || name == "UnixMicro" || name == "UnixNano"), zero && name == "Round":
			broken = append(broken, s.at(sel.Sel.Pos(), "%s loses the monotonic reading: a board's wall clock may jump by fifty years; keep the time.Time, or the time since boot", name))
		}
		return true
	})
	return broken
}

func isZero(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == "0"
}

// TestHouse keeps the rules of the house.
func TestHouse(t *testing.T) {
	for _, s := range sources(t) {
		for _, rule := range houseRules {
			for _, broken := range rule(s) {
				t.Error(broken)
			}
		}
	}
}
