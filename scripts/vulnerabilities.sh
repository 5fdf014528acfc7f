#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Looks for known vulnerabilities in what the plugin, the commands and the tools call. It asks
# the database at vuln.go.dev, which is why scripts/test.sh does not run it.
#
# usage: scripts/vulnerabilities.sh

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go
work=$(mktemp -d "${TMPDIR:-/tmp}/entra-vulnerabilities-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
go build -C "$root/scripts/tools" -o "$work/govulncheck" golang.org/x/vuln/cmd/govulncheck

# The end-to-end tests are left out: they build a whole Vault, which nobody gets from here.
status=0
for module in . scripts/tools; do
	say "=== govulncheck $module"
	(cd "$root/$module" && "$work/govulncheck" ./...) || status=$?
done
exit "$status"
