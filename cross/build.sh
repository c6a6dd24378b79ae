#!/usr/bin/env bash
# Builds every program, without cgo, for every machine it is for.
#
#   cross/build.sh dist     all of them into dist/, with their sizes
#   cross/build.sh check    only whether they build: the agent for all its
#                           machines, the others for those in CHECK_CITY
#
# The same source gives the same bytes, wherever it is built.
set -euo pipefail
cd "$(dirname "$0")/.."

# arm is named with its GOARM: armv6 is a Raspberry Pi Zero, armv7 most 32-bit boards.
BOARDS='armv6 armv7 arm64 amd64 riscv64 loong64'
CITY='armv7 arm64 amd64 riscv64 loong64'
CHECK_CITY=${CHECK_CITY:-'amd64 arm64'} # SQLite takes a minute a machine to compile

mode=${1:-}
case $mode in
dist) mkdir -p dist ;;
check) ;;
*)
	echo "usage: cross/build.sh dist|check" >&2
	exit 2
	;;
esac

build() { # build program machine
	local arch=$2 arm='' out=/dev/null
	case $2 in
	armv*) arm=${2#armv} arch=arm ;;
	esac
	if [ "$mode" = dist ]; then out=dist/$(basename "$1")_linux_$2; fi
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOARM=$arm \
		go build -p 2 -trimpath -ldflags='-s -w -buildid=' -o "$out" "./$1" || return
	if [ "$mode" = dist ]; then
		printf '%10d  %s\n' "$(wc -c <"$out")" "$out"
	fi
}

found=0 failed=''
for program in agent/cmd/* cloud/cmd/* sim/cmd/*; do
	[ -e "$program/main.go" ] || continue
	found=$((found + 1))
	case $program in
	agent/*) machines=$BOARDS ;;
	*) machines=$CITY ;;
	esac
	if [ "$mode" = check ] && [ "$machines" = "$CITY" ]; then machines=$CHECK_CITY; fi
	for machine in $machines; do
		build "$program" "$machine" || failed+=" $program:$machine"
	done
done
if [ "$found" = 0 ]; then
	echo "no program below agent/cmd, cloud/cmd or sim/cmd" >&2
	exit 1
fi
if [ -n "$failed" ]; then
	echo "does not build:$failed" >&2
	exit 1
fi
if [ "$mode" = dist ]; then (cd dist && sha256sum longan-* >SHA256SUMS); fi
