#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds a release: for each platform the plugin and vault-entra, as raw
# binaries, as archives, and with a list of what is in them (SBOM, CycloneDX). The archive
# of vault-entra has its man page and completions, too.
# The plugin for Linux also comes as an OCI image (a layout in a tar file), and each file
# has provenance (in-toto, SLSA). SHA256SUMS has the checksums of all; Vault registers a
# plugin by that of its raw binary. The same commit, version, Go and key give the same
# bytes, wherever it runs.
#
# usage: scripts/release.sh VERSION [DIR]      into DIR, dist/ by default
#
#   PLATFORMS                 "linux/amd64 ..." instead of all
#   SIGNING_KEY               a file with an armored OpenPGP key: signs SHA256SUMS with it
#   SIGNING_KEY_PASSPHRASE    of that key, if it has one
#   BUILDER_ID                a URI that says who builds, for the provenance

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

need go git
case "${1:-}" in
-h | --help) sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit ;;
esac
version=${1:-}
[[ $version =~ ^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$ ]] ||
	die "version \"$version\" is not semantic (vX.Y.Z)"
key=${SIGNING_KEY:-}
if [ -n "$key" ]; then
	[ -r "$key" ] || die "SIGNING_KEY=$key cannot be read"
	key=$(cd "$(dirname "$key")" && pwd)/$(basename "$key")
fi
mkdir -p "${2:-$root/dist}"
dist=$(cd "${2:-$root/dist}" && pwd)
[ -z "$(ls -A "$dist")" ] || die "$dist is not empty"
everywhere="linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64"
platforms=${PLATFORMS:-$everywhere}

commit=$(commit_id)
case $commit in
unknown) die "the commit is not known: a release is built from a clone" ;;
*-dirty) say "warning: files differ from the commit; this is no release" ;;
esac
time=$(git -C "$root" log -1 --format=%ct)
work=$(mktemp -d "${TMPDIR:-/tmp}/entra-release-XXXXXX")
trap 'rm -rf "$work"' EXIT
# What would change the bytes from outside is not taken over.
unset GOFLAGS GOEXPERIMENT GOAMD64 GOARM64
export CGO_ENABLED=0

cd "$root/scripts/tools"
go build -buildvcs=false -trimpath -o "$work/pack" ./pack
go build -buildvcs=false -trimpath -o "$work/release" ./release
go build -buildvcs=false -trimpath -o "$work/sbom" \
	github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod
cd "$root"

# build PROGRAM PACKAGE OS ARCH [FILE=NAME...]: the files go into the archive as well.
build() {
	local name=$1_${version#v}_$3_$4 suffix=
	[ "$3" != windows ] || suffix=.exe
	say "$name"
	GOOS=$3 GOARCH=$4 go build -buildvcs=false -trimpath \
		-ldflags "-s -w -buildid= -X main.version=$version -X main.commit=$commit" -o "$dist/$name$suffix" "$2"
	"$work/sbom" bin -json -noserial -notimestamp -version "$version" \
		-output "$dist/$name.cdx.json" "$dist/$name$suffix" 2>"$work/sbom.log" ||
		die "$(cat "$work/sbom.log")"
	"$work/pack" "$dist/$name.zip" "$time" "$dist/$name$suffix=$1$suffix" LICENSE \
		"$dist/$name.cdx.json=$1.cdx.json" "${@:5}"
}

# What vault-entra says of itself, from a build for this machine.
say "vault-entra's man page and completions"
go build -buildvcs=false -trimpath -ldflags "-X main.version=$version -X main.commit=$commit" \
	-o "$work/vault-entra" ./cmd/vault-entra
"$work/vault-entra" man >"$work/vault-entra.1"
manual=("$work/vault-entra.1=vault-entra.1")
for shell in bash zsh fish; do
	"$work/vault-entra" completion "$shell" >"$work/completion.$shell"
	manual+=("$work/completion.$shell=completion.$shell")
done

for platform in $platforms; do
	build vault-plugin-secrets-entra . "${platform%/*}" "${platform#*/}"
	build vault-entra ./cmd/vault-entra "${platform%/*}" "${platform#*/}" "${manual[@]}"
done

plugin=vault-plugin-secrets-entra_${version#v}
about=(-version "$version" -commit "$(git -C "$root" rev-parse HEAD)" -time "$time")
images=()
for platform in $platforms; do
	[ "${platform%/*}" != linux ] ||
		images+=("$platform=$dist/${plugin}_${platform%/*}_${platform#*/}")
done
if [ "${#images[@]}" -gt 0 ]; then
	say "${plugin}_oci.tar"
	"$work/release" image -out "$dist/${plugin}_oci.tar" "${about[@]}" -licence LICENSE \
		"${images[@]}"
fi

cd "$dist"
files=(*)
"$work/release" provenance -out "$work/provenance" "${about[@]}" -go "$(go env GOVERSION)" \
	${BUILDER_ID:+-builder "$BUILDER_ID"} "${files[@]}"
mv "$work/provenance" "${plugin}_provenance.intoto.jsonl"
for file in *; do
	printf '%s  %s\n' "$(sha256_of "$file")" "$file"
done >"$work/SHA256SUMS"
if [ -n "$key" ]; then
	"$work/release" sign -key "$key" -time "$time" "$work/SHA256SUMS"
	mv "$work/SHA256SUMS.sig" .
fi
mv "$work/SHA256SUMS" .
cat SHA256SUMS
say "$version, commit $commit, $(go version)"
