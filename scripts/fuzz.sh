#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Fuzzes everything that comes from outside: answers of the authority, ID tokens,
# callbacks, pasted addresses, config fields.
#
# usage: scripts/fuzz.sh [AMOUNT]     for each target: 60s (default), 5s, or 2000x for inputs
#
# What is found is kept under testdata/fuzz of the package, for go test to repeat.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go
amount=${1:-60s}
[[ $amount =~ ^[1-9][0-9]*[sx]$ ]] || die "\"$amount\" is neither seconds (60s) nor inputs (2000x)"
cd "$root"

for package in . ./internal/entra; do
	targets=$(go test -list '^Fuzz' "$package" | grep '^Fuzz')
	for target in $targets; do
		say "=== $package $target, $amount"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$amount" "$package"
	done
done
