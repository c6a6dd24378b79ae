#!/usr/bin/env bash
# Runs every check and test. On Debian and Ubuntu it needs Go and nothing else:
# what is missing it installs. Elsewhere it says what it had to leave out, but in
# CI (CI=true) leaving something out is a failure.
#
#   cross/test.sh           everything
#   cross/test.sh lint      the static checks
#   cross/test.sh STEP...   some steps by name: see STEPS and LINT below
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin # mosquitto's place on Debian

LINT='format vet modern tidy staticcheck rules'
STEPS="tools $LINT race bits32 month build fuzz clean"

left_out=''
if [ "${CI:-}" = true ]; then export LONGAN_CI=1; fi

leave_out() { # leave_out what why
	left_out+="  $1: $2"$'\n'
	[ "${CI:-}" != true ]
}

# missing prints the Debian packages that the tests need and this machine lacks.
missing() {
	command -v mosquitto >/dev/null || echo mosquitto
	command -v mosquitto_sub >/dev/null || echo mosquitto-clients
	command -v mbpoll >/dev/null || echo mbpoll
	command -v socat >/dev/null || echo socat
	command -v gcc >/dev/null || echo gcc
	[ -e /usr/include/stdio.h ] || echo libc6-dev
	[ -e /usr/include/modbus/modbus.h ] || echo libmodbus-dev
	[ -x /lib/nut/nutdrv_qx ] && [ -x /lib/nut/upsd ] || echo nut-server
	command -v upsc >/dev/null || echo nut-client
}

# The broker that is built from source has a module file of its own, and stays in
# Go's build cache.
nats() {
	CGO_ENABLED=0 go tool -n -modfile=cross/nats.mod nats-server >/dev/null ||
		leave_out nats-server "it could not be built"
}

# The RTSP server that stands witness is installed as its lock file has it, into
# the user's cache. npm brings hundreds of packages from a registry that is nobody's
# here: that it can't is told, and fails nothing.
rtsp() {
	local from=sim/peripheral/testdata/rtsp to=${XDG_CACHE_HOME:-$HOME/.cache}/longan/rtsp
	if ! command -v npm >/dev/null; then
		leave_out "npm's rtsp-streaming-server" "no npm here" || true
		return 0
	fi
	if [ -d "$to/node_modules/rtsp-streaming-server" ] && cmp -s "$from/package-lock.json" "$to/package-lock.json"; then
		return
	fi
	mkdir -p "$to" && cp "$from/package.json" "$from/package-lock.json" "$to" &&
		npm ci --prefix "$to" --ignore-scripts --no-audit --no-fund --loglevel error >/dev/null && return
	rm -rf "$to"
	leave_out "npm's rtsp-streaming-server" "npm failed" || true
}

step_tools() {
	packages && nats && rtsp
}

packages() {
	local want root=''
	want=$(missing | tr '\n' ' ')
	[ -n "$want" ] || return 0
	if ! command -v apt-get >/dev/null; then
		leave_out "$want" "no apt-get here to install them with"
		return
	fi
	if [ "$(id -u)" != 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			leave_out "$want" "neither root nor sudo; by hand: apt-get install $want"
			return
		fi
		root='sudo -n'
	fi
	# The programs are wanted and not their services, which could fail to start:
	# where policy-rc.d has no say in that yet, it says no meanwhile.
	# shellcheck disable=SC2086 # lists of words
	$root env DEBIAN_FRONTEND=noninteractive sh -s $want >/dev/null <<-'EOF' || leave_out "$want" "apt-get failed"
		policy=/usr/sbin/policy-rc.d
		if [ ! -e "$policy" ]; then
			trap 'rm -f "$policy"' EXIT
			printf '#!/bin/sh\nexit 101\n' >"$policy"
			chmod 755 "$policy"
		fi
		apt-get update -q </dev/null && apt-get install -q -y --no-install-recommends "$@" </dev/null
	EOF
}

step_format() {
	local files
	files=$(gofmt -l .) || return
	[ -z "$files" ] || { echo "gofmt -w $files" >&2 && return 1; }
}

# The static checks run without cgo, so that they share what they compile with
# the programs, which are built so.
step_vet() { CGO_ENABLED=0 go vet -p 2 ./...; }

step_modern() { CGO_ENABLED=0 go fix -diff ./...; }

step_tidy() { go mod tidy -diff; }

step_staticcheck() {
	CGO_ENABLED=0 go tool -modfile=cross/tools.mod staticcheck ./...
}

step_rules() { go test ./cross; }

# Days, weeks and a month in virtual time. The race detector makes them six times
# as long and finds nothing that it does not find in the one day of the same code,
# and 32 bits make no difference to them either: step month alone runs them.
LONG='^(TestAMonthInVirtualTime|TestLossyWeekRaisesNoFalseAlarm|TestOutagesDrainByThemselves)$'

step_race() {
	if ! command -v gcc >/dev/null; then
		leave_out "the race detector" "no gcc" && go test -p 2 -skip "$LONG" ./...
		return
	fi
	CGO_ENABLED=1 go test -p 2 -race -timeout 8m -skip "$LONG" ./...
}

step_bits32() {
	if [ "$(go env GOHOSTOS)/$(go env GOHOSTARCH)" != linux/amd64 ]; then
		leave_out "tests on 32 bits" "they run natively on linux/amd64 only"
		return
	fi
	GOARCH=386 go test -p 2 -timeout 8m -skip "$LONG" ./...
}

step_month() { go test -timeout 15m -run "$LONG" ./sim; }

step_build() { cross/build.sh check; }

# Every fuzz target for some thousands of inputs: enough to see that it runs, and
# that the corpus still passes. Inputs are counted and not seconds, because the
# fuzzer of Go 1.26 can report its own deadline as a failure of the target
# ("context deadline exceeded"). To find something, give it a night:
#
#   go test -run '^$' -fuzz '^FuzzDecodeBatch$' -fuzzminimizetime 1x .
step_fuzz() {
	local inputs=${FUZZTIME:-20000x} file target out failed=0 count=0
	while IFS=: read -r file target; do
		count=$((count + 1))
		out=$(timeout 180 go test -p 2 -run '^$' -fuzz "^$target\$" -fuzztime "$inputs" -fuzzminimizetime 1x "./$(dirname "$file")" 2>&1) ||
			{ echo "$file $target: $out" >&2 && failed=1; }
		if [ -n "${FUZZTELL:-}" ]; then tail -n 3 <<<"$target $out"; fi
	done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed -E 's/func //' | sort)
	echo "$count fuzz targets, $inputs inputs each"
	[ "$count" -gt 0 ] && [ "$failed" = 0 ]
}

# tree lists what differs from the last commit, also where the tree belongs to
# another user, as in containers; nothing where there is no git.
tree() { git -c safe.directory="$PWD" status --porcelain 2>/dev/null; }

# The tests must leave nothing behind. By hand, what you work on is in the way.
step_clean() {
	[ "${CI:-}" = true ] || return 0
	local after
	after=$(tree)
	[ "$after" = "$before" ] || { echo "the tests changed the tree:" && echo "$after" && return 1; } >&2
}

command -v go >/dev/null || {
	echo "需要 Go（版本见 go.mod）：https://go.dev/dl · needs Go, of the version in go.mod" >&2
	exit 1
}
steps=$STEPS
case ${1:-} in
'') ;;
lint) steps=$LINT ;;
*) steps=$* ;;
esac
before=$(tree)
summary='' failed=''
for step in $steps; do
	if ! declare -F "step_$step" >/dev/null; then
		echo "no step $step: want some of $STEPS" >&2
		exit 2
	fi
	printf '== %-12s at %4d s\n' "$step" "$SECONDS"
	start=$SECONDS
	result=ok
	"step_$step" || { result=FAILED && failed+=" $step"; }
	summary+=$(printf '%-12s %4d s  %s' "$step" $((SECONDS - start)) "$result")$'\n'
done
printf '\n%s' "$summary"
if [ -n "$left_out" ]; then printf '没有做 · left out:\n%s' "$left_out"; fi
if [ -n "$failed" ]; then
	echo "失败 · failed:$failed"
	exit 1
fi
echo "全部通过 · all passed in $SECONDS s"
