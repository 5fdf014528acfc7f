#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Fuzzes everything that comes from outside: answers of the authority, ID tokens,
# callbacks, pasted addresses, config fields.
#
# usage: scripts/fuzz.sh [SECONDS]     for each target, 60 by default
#
# What is found is kept under testdata/fuzz of the package, for go test to repeat.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go
seconds=${1:-60}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "\"$seconds\" is not a number of seconds"
cd "$root"

for package in . ./internal/entra; do
	targets=$(go test -list '^Fuzz' "$package" | grep '^Fuzz')
	for target in $targets; do
		say "=== $package $target, $seconds s"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" "$package"
	done
done
