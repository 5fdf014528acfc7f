#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Reads 200 accounts with tokens of 20 s for minutes on end, on a real Vault, while
# Entra fails and the plugin is killed, reloaded and sealed at random. Ends with a
# table: no expired token may be served, no account lost, and Entra not be asked
# more than the tokens' lives need.
#
# usage: scripts/soak.sh [MINUTES [SEED]]     5 minutes by default
#
# The seed is printed; the same one draws the same troubles.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go git curl
minutes=${1:-5} seed=${2:-0}
[[ $minutes =~ ^[1-9][0-9]*$ ]] || die "\"$minutes\" is not a number of minutes"
[[ $seed =~ ^[0-9]+$ ]] || die "\"$seed\" is not a number"

work=$(mktemp -d "${TMPDIR:-/tmp}/entra-soak-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
ENTRA_E2E_PROGRAMS=$("$root/scripts/e2e-build.sh" "$work")
export ENTRA_E2E_PROGRAMS
cd "$root/e2e"
go test -count=1 -v -timeout "$((minutes + 15))m" ./cluster -run '^TestSoak$' \
	-soak "${minutes}m" -seed "$seed"
