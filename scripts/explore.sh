#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Plays histories that nobody thought of against the engine, on every processor, and prints
# the seed and the shortened history of what fails: see "Invariants" in docs/architecture.md.
#
# usage: scripts/explore.sh [HISTORIES [SEED]]     20000 from seed 1 by default

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

case "${1:-}" in
-h | --help) usage && exit ;;
esac
need go
histories=${1:-20000} seed=${2:-1}
[[ $histories =~ ^[1-9][0-9]*$ ]] || die "\"$histories\" is not a number of histories"
[[ $seed =~ ^[0-9]+$ ]] || die "\"$seed\" is not a seed"

work=$(mktemp -d "${TMPDIR:-/tmp}/entra-explore-XXXXXX")
pids=() teller=
cleanup() {
	kill ${teller:+"$teller"} ${pids[@]+"${pids[@]}"} 2>/dev/null || true
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

go test -C "$root" -c -o "$work/explore" .
say "does a seed give the same history twice?"
(cd "$root" && "$work/explore" -test.run '^TestExploreIsReproducible$' -explore.histories 20000)
processors=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
[ "$processors" -le "$histories" ] || processors=$histories
say "$histories histories from seed $seed, on $processors processors"
started=$SECONDS
tell() { # how far all of them are, every half minute
	local nap
	trap 'kill "$nap"; exit' TERM
	while sleep 30 & nap=$! && wait "$nap"; do
		say "[$((SECONDS - started)) s] $(awk '/^played / { n[FILENAME] = $2 }
			END { for (f in n) all += n[f]; print all + 0 }' "$work"/*.out) histories"
	done
}
cd "$root"
for ((i = 0; i < processors; i++)); do # each plays every nth seed, n being their number
	"$work/explore" -test.run '^TestExplore$' -test.timeout 0 \
		-explore.histories $(((histories - i + processors - 1) / processors)) \
		-explore.seed $((seed + i)) -explore.step "$processors" -explore.tell 500 >"$work/$i.out" 2>&1 &
	pids+=($!)
done
tell &
teller=$!
failed=0
for i in "${!pids[@]}"; do
	if ! wait "${pids[$i]}"; then
		failed=$((failed + 1))
		sed '/^played /d' "$work/$i.out"
	fi
done
kill "$teller" 2>/dev/null || true
pids=() teller=
say "$histories histories in $((SECONDS - started)) s, $failed of $processors processes found something"
[ "$failed" -eq 0 ]
