package cross

import (
	"go/token"
	"slices"
	"strings"
	"testing"
)

type folderRule struct {
	folder string
	may    []string
	why    string
}

// folderRules say what of this module the files below a folder may import, tests
// included. "" is the root package, the contract, alone.
var folderRules = []folderRule{
	{"", nil, "the contract depends on nothing, so that everything can depend on it"},
	{"drivers", []string{"", "drivers"}, "a driver knows its peripheral and the contract, not the agent around it"},
	{"firmware-config", []string{"", "firmware-config"}, "what a board is told to be does not depend on the program that is told"},
	{"agent", []string{"", "drivers", "firmware-config", "agent"}, "board and city share only the contract"},
	{"cloud", []string{"", "cloud"}, "board and city share only the contract"},
	{"sim", []string{"", "drivers", "firmware-config", "agent", "cloud", "sim"}, "the simulator stands around everything"},
	{"cross", []string{"", "drivers", "firmware-config", "agent", "cloud", "sim", "cross"}, "what concerns all folders"},
}

// outsideRules say which folders may import a package of another module. Tests
// may use any of them, but for those that nobody may.
var outsideRules = []struct {
	path  string
	only  []string
	never bool // not in tests either
	why   string
}{
	{"periph.io/x/host/v3", []string{"drivers/hw"}, false, "only drivers/hw touches hardware"},
	{"github.com/tarm/serial", []string{"drivers/hw"}, false, "its read timeout, unplug and end of file look the same: drivers/hw tells them apart, once"},
	{"periph.io/x/conn/v3", []string{"drivers"}, false, "ports are the drivers' business"},
	{"go.etcd.io/bbolt", []string{"agent/internal/spool", "sim/bench"}, false, "one owner of the file that must not lose anything; the benchmark's peer is a file of its own"},
	{"github.com/eclipse/paho.mqtt.golang", []string{"agent/internal/uplink", "cloud/internal/ingest"}, false, "one owner of MQTT on each side"},
	{"github.com/mochi-mqtt/server/v2", []string{"cloud/internal/broker"}, false, "any broker must do: ours stays behind one package"},
	{"modernc.org/sqlite", []string{"cloud/internal/store", "sim/bench"}, false, "the store can be exchanged only if nobody else knows it; the benchmark's peer is a file of its own"},
	{"github.com/pressly/goose/v3", []string{"cloud/internal/store"}, false, "the store migrates itself"},
	{"github.com/pelletier/go-toml/v2", []string{"firmware-config"}, false, "one reader of site files and board profiles"},
	{"golang.org/x/sys", []string{"drivers/hw", "agent", "firmware-config", "sim"}, false, "system calls belong to the board, and to what stands in for it"},
	{"golang.org/x/crypto", []string{"cloud/internal/broker"}, false, "passwords are hashed where they are checked"},
	{"pgregory.net/rapid", nil, false, "properties are for tests"},
	{"github.com/stretchr/testify", nil, true, "tests use package testing alone"},
	{module + "/drivers/porttest", []string{"drivers/porttest", "sim"}, false, "fakes are for tests and the simulator"},
}

// checkModuleImports holds a file to folderRules.
func checkModuleImports(s source) (broken []string) {
	i := slices.IndexFunc(folderRules, func(r folderRule) bool {
		return r.folder == s.folder() || (r.folder != "" && within(s.folder(), r.folder))
	})
	if i < 0 {
		return []string{s.at(s.file.Package, "folder %q has no rule: add it to folderRules, and say why", s.folder())}
	}
	rule := folderRules[i]
	s.imports(func(pos token.Pos, p string) {
		target, ok := strings.CutPrefix(p+"/", module+"/")
		if !ok {
			return
		}
		target = strings.TrimSuffix(target, "/")
		allowed := slices.ContainsFunc(rule.may, func(dir string) bool {
			return target == dir || (dir != "" && within(target, dir))
		})
		if !allowed && !(target == "" && rule.folder == "" && s.test()) {
			broken = append(broken, s.at(pos, "imports %s, but %s may import only %s of this module: %s",
				show(target), show(rule.folder), showAll(rule.may), rule.why))
		}
	})
	return broken
}

// checkOutsideImports holds a file to outsideRules.
func checkOutsideImports(s source) (broken []string) {
	s.imports(func(pos token.Pos, p string) {
		for _, r := range outsideRules {
			if !within(p, r.path) {
				continue
			}
			owner := slices.ContainsFunc(r.only, func(dir string) bool { return within(s.folder(), dir) })
			if !owner && (r.never || !s.test()) {
				broken = append(broken, s.at(pos, "imports %s, which belongs only in %s: %s", p, showAll(r.only), r.why))
			}
			return
		}
		first, _, _ := strings.Cut(p, "/")
		if strings.Contains(first, ".") && !within(p, module) {
			broken = append(broken, s.at(pos, "imports %s, which is not agreed: a new dependency needs a line in outsideRules with its owner", p))
		}
	})
	return broken
}

func show(folder string) string {
	if folder == "" {
		return "the root package"
	}
	return folder
}

func showAll(folders []string) string {
	if len(folders) == 0 {
		return "nothing"
	}
	all := make([]string, len(folders))
	for i, f := range folders {
		all[i] = show(f)
	}
	return strings.Join(all, ", ")
}

// TestDependencies keeps the rules between folders, and the owner of every
// dependency.
func TestDependencies(t *testing.T) {
	for _, s := range sources(t) {
		for _, broken := range append(checkModuleImports(s), checkOutsideImports(s)...) {
			t.Error(broken)
		}
	}
}
