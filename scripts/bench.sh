#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Measures the engine on a real Vault: reads of fresh tokens against two baseline plugins
# and KV, refresh storms, an outage, background refreshes, and up to 100,000 accounts. Each
# target stands beside its figure. docs/performance.md explains the figures.
#
# usage: scripts/bench.sh [--quick] [--check] [--idle TIME] [--only SECTIONS] [--profile DIR]
#
#   --quick   two minutes, with at most 10,000 accounts, 500 in the outage
#   --check   fail if a target is missed
#   --idle    how long the idle CPU is watched, such as 10s; 1m by default, 5s with --quick
#   --only    some of throughput,storm,outage,background,scale
#   --profile writes CPU and heap profiles of the engine under reads to DIR

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

options=() flags=${GOFLAGS:-}
while [ $# -gt 0 ]; do
	case "$1" in
	--quick | --check) options+=("$1") ;;
	--idle | --only)
		[ $# -gt 1 ] || { usage >&2 && exit 2; }
		options+=("$1" "$2")
		shift
		;;
	--profile)
		[ $# -gt 1 ] || { usage >&2 && exit 2; }
		mkdir -p "$2"
		options+=("$1" "$(cd "$2" && pwd)")
		flags="$flags -tags=profile"
		shift
		;;
	-h | --help) usage && exit ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done
need go

work=$(mktemp -d "${TMPDIR:-/tmp}/entra-bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

vault_bin=$("$root/scripts/vault.sh")
say "build the engine, the baseline plugin, the simulator and the benchmark"
GOFLAGS=$flags "$root/scripts/build.sh" "$work" >&2
for package in bench bench/baseline cmd/entra-simulator; do
	CGO_ENABLED=0 go build -C "$root" -buildvcs=false -trimpath -ldflags "-s -w" \
		-o "$work/${package##*/}" "./$package"
done
mkdir "$work/run"
"$work/bench" -vault "$vault_bin" -plugin "$work/vault-plugin-secrets-entra" \
	-baseline "$work/baseline" -simulator "$work/entra-simulator" -dir "$work/run" \
	${options[@]+"${options[@]}"}
