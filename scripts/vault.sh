#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Finds a Vault server binary and prints its path: $VAULT_BIN, else vault on
# PATH, else the one that the e2e module names, built once and cached.
#
# usage: scripts/vault.sh

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

is_vault() { "$1" version 2>/dev/null | grep -q '^Vault v'; }

if [ -n "${VAULT_BIN:-}" ]; then
	is_vault "$VAULT_BIN" || die "VAULT_BIN=$VAULT_BIN is not a Vault binary"
	say "Vault: $VAULT_BIN (VAULT_BIN), $("$VAULT_BIN" version)"
	printf '%s\n' "$VAULT_BIN"
	exit
fi

if found=$(command -v vault) && is_vault "$found"; then
	say "Vault: $found (PATH), $("$found" version)"
	printf '%s\n' "$found"
	exit
fi

need go
vault_version=$(awk '$1 == "github.com/hashicorp/vault" { print $2 }' "$root/e2e/go.mod")
[ -n "$vault_version" ] || die "e2e/go.mod does not require github.com/hashicorp/vault"
binary=$cache/vault-${vault_version#v}-$(go env GOVERSION)-$(go env GOOS)-$(go env GOARCH)

if [ ! -x "$binary" ] || ! is_vault "$binary"; then
	say "Vault was found neither in VAULT_BIN nor on PATH: building $vault_version from source."
	say "The first time this downloads about 2,500 packages and takes up to 15 minutes on 2 cores;"
	say "the result is kept in $cache. It is quicker with a Vault of your own in VAULT_BIN."
	mkdir -p "$cache"
	fresh=$(mktemp "$cache/.vault-XXXXXX")
	trap 'rm -f "$fresh"' EXIT
	started=$SECONDS
	CGO_ENABLED=0 go build -C "$root/e2e" -buildvcs=false -trimpath -ldflags "-s -w" \
		-o "$fresh" github.com/hashicorp/vault >&2
	is_vault "$fresh" || die "the Vault that was built does not run"
	mv "$fresh" "$binary" # at once: another run may be waiting for it
	say "Vault is built, in $((SECONDS - started)) s."
fi
say "Vault: $binary, $("$binary" version)"
printf '%s\n' "$binary"
