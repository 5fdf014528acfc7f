#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Checks everything: format, line lengths, vet, staticcheck, documents, workflows, shellcheck,
# the unit tests with the race detector, each fuzz target for a moment, and the end-to-end
# tests on a real Vault. The last line counts the tests; a check that fails counts as a
# failure there.
#
# usage: scripts/test.sh [--quick | --record]
#
#   --quick    for daily work: no fuzzing, no end-to-end tests
#   --record   writes what ran on which server into docs/support.json and the README
#
# What cannot run on this machine is skipped and listed. With CI set, nothing is
# skipped: what cannot run is a failure.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

quick=false record=false
case "${1:-}" in
"") ;;
--quick) quick=true ;;
--record) record=true ;;
-h | --help) usage && exit ;;
*) usage >&2 && exit 2 ;;
esac
need go git curl

work=$(mktemp -d "${TMPDIR:-/tmp}/entra-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
cd "$root"

failures=() skips=()
step() { printf '\n=== %s\n' "$*"; }

# bounded SECONDS COMMAND...: ends a command that hangs, where timeout(1) exists.
bounded() {
	if command -v timeout >/dev/null; then
		timeout "$@"
	else
		shift && "$@"
	fi
}

# check NAME COMMAND...: one check that is not a Go test.
check() {
	local name=$1
	shift
	step "$name"
	if "$@"; then
		echo "ok    $name"
	else
		echo "FAIL  $name"
		failures+=("$name")
	fi
}

# cannot WHAT WHY: notes that something does not run here.
cannot() {
	step "$1: skipped, $2"
	skips+=("$1: $2")
}

formatted() {
	local wrong
	wrong=$(find . -name '*.go' -not -path './bin/*' -exec gofmt -l {} +)
	[ -z "$wrong" ] || { printf 'not formatted by gofmt: %s\n' "$wrong" && return 1; }
}

vet() {
	local module
	for module in "${modules[@]}"; do
		bounded 900 go -C "$module" vet ./... || return 1
	done
}

staticcheck() {
	local module
	go build -C scripts/tools -o "$work/staticcheck" honnef.co/go/tools/cmd/staticcheck || return 1
	for module in "${modules[@]}"; do
		(cd "$module" && bounded 900 "$work/staticcheck" ./...) || return 1
	done
}

documents() { bounded 300 go run -C scripts/tools ./docscheck "$root"; }

line_lengths() { bounded 120 go run -C scripts/tools ./linescheck "$root"; }

workflows() {
	go build -C scripts/tools -o "$work" github.com/rhysd/actionlint/cmd/actionlint || return 1
	bounded 120 "$work/actionlint" .github/workflows/*.yml docs/recipes/ci/github.yml
}

# support records the end-to-end tests, whose totals came last.
support() {
	[ "$(wc -l <"$work/totals")" -gt "$before" ] || return 1
	go run -C scripts/tools ./support record -server "$(server_version "$ENTRA_E2E_PROGRAMS/vault")" \
		-platform "$(go env GOOS)/$(go env GOARCH)" -commit "$(commit_id)" \
		-totals "$work/totals" "$root/docs/support.json" &&
		go run -C scripts/tools ./support render "$root/docs/support.json" "$root/README.md" &&
		cp "$ENTRA_READERS/readers.json" docs/readers.json &&
		go run -C scripts/tools ./support readers "$root/docs/readers.json" \
			"$root/docs/recipes/README.md"
}

shell_scripts() { bounded 120 shellcheck -x scripts/*.sh .ci/run; }

# install PACKAGE: a Debian package, in CI only. What still lacks is told later.
install() {
	[ -n "${CI:-}" ] && command -v apt-get >/dev/null || return 0
	step "install $1"
	{ apt-get update -qq && bounded 900 apt-get install -y -qq "$1"; } >"$work/apt.log" 2>&1 ||
		tail -n 5 "$work/apt.log"
}

# tests NAME DIR ARGUMENTS...: go test, told and counted by testreport.
tests() {
	local name=$1 dir=$2
	shift 2
	step "$name: go test $*"
	if ! go test -C "$dir" -json "$@" | "$work/testreport" -totals "$work/totals"; then
		tests_failed=true
	fi
}

modules=(. scripts/tools)
$quick || modules+=(e2e e2e/providers/zitadel e2e/commandline/azure-go)

check "gofmt" formatted
check "comments of at most 100 columns" line_lengths
check "go vet" vet
check "staticcheck" staticcheck
check "links, and tests named in the documents" documents
check "actionlint" workflows
command -v shellcheck >/dev/null || install shellcheck
if command -v shellcheck >/dev/null; then
	check "shellcheck" shell_scripts
else
	cannot "shellcheck" "it is not installed"
fi

race=-race
compiler=$(go env CC)
if ! command -v "${compiler%% *}" >/dev/null; then
	cannot "race detector" "it needs a C compiler ($compiler)"
	race=
fi
tests_failed=false
: >"$work/totals"
go build -C scripts/tools -o "$work/testreport" ./testreport
command -v groff >/dev/null || install groff-base
tests "unit tests" . ${race:+"$race"} -timeout 15m ./...
tests "the scripts' own tools" scripts/tools -timeout 5m ./...

if ! $quick; then
	check "20,000 histories explored" bounded 900 ./scripts/explore.sh 20000
	# By count: an input that is cut off by a time limit fails, with nothing wrong.
	check "fuzzing, 2,000 inputs each" bounded 900 ./scripts/fuzz.sh 2000x

	for program in chromium jq ansible; do
		command -v "$program" >/dev/null || install "$program"
	done
	# The Python that Debian's packages are for, which need not be the first on PATH.
	/usr/bin/python3 -c 'import hvac' 2>/dev/null || install python3-hvac
	export ENTRA_SCREENSHOTS=${ENTRA_SCREENSHOTS:-$root/bin/screenshots}
	export ENTRA_READERS=$work/readers
	mkdir -p "$ENTRA_SCREENSHOTS" "$ENTRA_READERS"

	step "find or build Vault, and build what runs in it and beside it"
	ENTRA_E2E_PROGRAMS=$(bounded 3600 "$root/scripts/e2e-build.sh" "$work/programs")
	export ENTRA_E2E_PROGRAMS
	before=$(wc -l <"$work/totals")
	# One package at a time: the soak measures times and has to run alone.
	tests "end-to-end tests" e2e -count=1 -p 1 -timeout 40m ./...
	if [ -s "$ENTRA_READERS/readers.txt" ]; then
		step "what each reader did"
		cat "$ENTRA_READERS/readers.txt"
	fi
	if $record; then
		check "docs/support.json and its table" support
	fi
fi

# --- what came out

totals=$(awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }' "$work/totals")
read -r passed failed skipped <<<"$totals"
if $tests_failed && [ "$failed" -eq 0 ]; then
	failures+=("go test, which says above why it did not run")
fi
if [ "$skipped" -gt 0 ]; then
	skips+=("$skipped tests, listed above with their reasons")
fi

echo
for name in ${skips[@]+"${skips[@]}"}; do
	echo "skipped: $name"
done
if [ -n "${CI:-}" ] && [ "${#skips[@]}" -gt 0 ]; then
	failures+=("skipped in CI, where nothing may be")
fi
for name in ${failures[@]+"${failures[@]}"}; do
	echo "failed: $name"
done
failed=$((failed + ${#failures[@]}))
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
