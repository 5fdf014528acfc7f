#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds the plugin and prints the checksum to register it by. The build is
# reproducible: the same commit, version and Go give the same bytes.
#
# usage: scripts/build.sh [DIR]      builds into DIR, bin/ by default
#        VERSION=v1.2.3 scripts/build.sh

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go
version=$(plugin_version)
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+ ]] || die "version \"$version\" is not semantic (vX.Y.Z)"
commit=$(commit_id)
mkdir -p "${1:-$root/bin}"
binary=$(cd "${1:-$root/bin}" && pwd)/vault-plugin-secrets-entra

CGO_ENABLED=0 go build -C "$root" -buildvcs=false -trimpath \
	-ldflags "-s -w -X main.version=$version -X main.commit=$commit" -o "$binary" .

printf '%s  %s\n' "$(sha256_of "$binary")" "$binary"
say "vault-plugin-secrets-entra $version, commit $commit"
