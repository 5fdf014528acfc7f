#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Finds a server and prints its path, the quickest way first:
#
#   1. $VAULT_BIN, else vault or bao (OpenBao) on PATH
#   2. what an earlier run kept, if its checksum and its version are right
#   3. HashiCorp's release, by HashiCorp's hc-install, which checks the signed checksums
#   4. Vault's own sources, without what nobody on one machine calls (scripts/vault)
#
# usage: scripts/vault.sh [--to FILE [--after FILE]]
#
#   --to FILE                            writes the path to a file
#   --after FILE                         compiles only when that file is there: two compilers
#                                        at once would do much of their work twice
#   VAULT_RELEASES, VAULT_RELEASES_KEY   a mirror of HashiCorp's releases, and a file with
#                                        the OpenPGP key, where it signs by another one

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

to=/dev/stdout after=
while [ $# -gt 0 ]; do
	case "$1" in
	-h | --help) usage && exit ;;
	--to | --after) [ $# -gt 1 ] || { usage >&2 && exit 2; } ;;
	*) usage >&2 && exit 2 ;;
	esac
	if [ "$1" = --to ]; then to=$2; else after=$2; fi
	shift 2
done

# From here on: else bash goes on when a command that it waits for survives the signal.
trap 'trap "" INT TERM && exit 130' INT TERM

found() { # FILE WHERE
	say "Server: $1 ($2), $(server_version "$1")"
	printf '%s\n' "$1" >"$to"
	exit
}

if [ -n "${VAULT_BIN:-}" ]; then
	if [ ! -x "$VAULT_BIN" ] || [ ! -f "$VAULT_BIN" ]; then
		die "VAULT_BIN=$VAULT_BIN is no program"
	fi
	[ -n "$(server_kind "$VAULT_BIN")" ] ||
		die "VAULT_BIN=$VAULT_BIN is neither Vault nor OpenBao: its version is" \
			"\"$(server_version "$VAULT_BIN")\""
	found "$VAULT_BIN" VAULT_BIN
fi
for name in vault bao; do
	if path=$(command -v "$name") && [ -n "$(server_kind "$path")" ]; then
		found "$path" PATH
	fi
done

# --- what is kept

need go curl
module=$root/scripts/vault
version=$(sed -n 's/^[[:space:]]*github.com\/hashicorp\/vault \(v[^ ]*\).*/\1/p' "$module/go.mod")
[ -n "$version" ] || die "scripts/vault/go.mod does not name a version of Vault"
platform=$(go env GOOS)-$(go env GOARCH)
recipe=$(cd "$module" && find . -type f | LC_ALL=C sort | xargs cat | sha256_of /dev/stdin)
released=$cache/vault-${version#v}-$platform
built=$cache/vault-${version#v}-small-${recipe:0:12}-$(go env GOVERSION)-$platform

# kept FILE: whether it is there, whole, and of the version that is wanted.
kept() {
	[ -e "$1" ] || return 1
	if [ ! -x "$1" ] || [ "$(cat "$1.sha256" 2>/dev/null)" != "$(sha256_of "$1")" ]; then
		say "$1 is damaged: it is made anew."
	elif ! [[ $(server_version "$1") =~ ^Vault\ "$version"([ ,]|$) ]]; then
		say "$1 is \"$(server_version "$1")\", not $version: it is made anew."
	else
		return 0
	fi
	rm -f "$1" "$1.sha256"
	return 1
}

for file in "$released" "$built"; do
	if kept "$file"; then
		found "$file" kept
	fi
done

# --- making one: all of it in a folder that goes away, however this ends

mkdir -p "$cache" || die "$cache cannot be written"
fresh=$(mktemp -d "$cache/.vault-XXXXXX") || die "$cache cannot be written"
child=
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	local status=$?
	[ -z "$child" ] || stop_group "$child"
	rm -rf "$fresh"
	[ "$(cat "$lock/pid" 2>/dev/null)" != "$$" ] || rm -rf "$lock"
	exit "$status"
}
lock=$cache/.lock
trap cleanup EXIT

# One run makes it, the others wait.
waited=$SECONDS
until mkdir "$lock" 2>/dev/null; do
	owner=$(cat "$lock/pid" 2>/dev/null || true)
	if [ -z "$owner" ]; then
		sleep 1
		owner=$(cat "$lock/pid" 2>/dev/null || true)
	fi
	if [ -z "$owner" ] || ! kill -0 "$owner" 2>/dev/null; then
		rm -rf "$lock" # of a run that was killed
		continue
	fi
	[ $(((SECONDS - waited) % 8)) -ne 0 ] ||
		say "  another run (process $owner) is making the server, $((SECONDS - waited)) s"
	sleep 1
done
echo "$$" >"$lock/pid"
for file in "$released" "$built"; do
	if kept "$file"; then
		found "$file" "kept by another run"
	fi
done

# space DIR: stops where less than 1 GB is left for what is made there.
space() {
	local left
	mkdir -p "$1" 2>/dev/null || die "$1 cannot be written"
	left=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1024) }')
	[ "${left:-0}" -ge 1024 ] ||
		die "$1 has ${left:-no} MB left, and 1 GB is needed to get a server:" \
			"make room, or set VAULT_BIN"
}
space "$cache"

# watched WHAT TOTAL PATTERN COMMAND...: runs a command and says every 8 s how many
# lines of its log have the pattern.
watched() {
	local what=$1 total=$2 pattern=$3 since=$SECONDS status=0
	shift 3
	set -m
	"$@" >"$fresh/out" 2>"$fresh/log" </dev/null &
	set +m
	child=$!
	while ! process_gone "$child"; do
		sleep 0.2
		if [ $((SECONDS - since)) -ge 8 ]; then
			since=$SECONDS
			say "  $(grep -c "$pattern" "$fresh/log") of $total $what, $((SECONDS - started)) s"
		fi
	done
	wait "$child" || status=$?
	child=
	return "$status"
}

keep() { # FRESH FILE
	[[ $(server_version "$1") =~ ^Vault\ "$version"([ ,]|$) ]] ||
		die "what was made is \"$(server_version "$1")\", not Vault $version"
	sha256_of "$1" >"$fresh/sha256"
	mv "$fresh/sha256" "$2.sha256"
	mv "$1" "$2"
}

# release fetches HashiCorp's. Whatever goes wrong costs at most 10 s and a line.
release() {
	local site=${VAULT_RELEASES:-https://releases.hashicorp.com} why
	why=$(curl -fsS --max-time 10 -o /dev/null "$site/vault/${version#v}/index.json" 2>&1) || {
		say "  not reached: ${why#curl: }"
		return 1
	}
	mkdir "$fresh/release"
	CGO_ENABLED=0 watched packages "some 200" . go build -C "$root/scripts/tools" -v -trimpath \
		-buildvcs=false -o "$fresh/vaultrelease" ./vaultrelease || {
		say "  hc-install does not build: $(tail -n 1 "$fresh/log")"
		return 1
	}
	set -m
	"$fresh/vaultrelease" ${VAULT_RELEASES:+-url "$site"} \
		${VAULT_RELEASES_KEY:+-key "$VAULT_RELEASES_KEY"} \
		"${version#v}" "$fresh/release" >"$fresh/out" </dev/null &
	set +m
	child=$!
	wait "$child" || {
		child=
		rm -rf "$fresh/release"
		return 1
	}
	child=
	keep "$(cat "$fresh/out")" "$released"
}

# build makes the small one, from a copy of Vault's sources with a file of ours in it.
build() {
	local modules packages sources flags=(-C "$module")
	space "$(go env GOCACHE)"
	space "$(go env GOMODCACHE)"
	export CGO_ENABLED=0 GOTMPDIR=$fresh
	watched modules 1 '^go: downloading' go mod download "${flags[@]}" github.com/hashicorp/vault ||
		return 1
	sources=$(go list "${flags[@]}" -m -f '{{.Dir}}' github.com/hashicorp/vault)
	mkdir "$fresh/sources"
	tar -C "$sources" --exclude=./ui --exclude=./enos --exclude=./changelog -cf - . |
		tar -C "$fresh/sources" -xf -
	chmod -R u+w "$fresh/sources"
	cp "$module/added/commands_min.go" "$fresh/sources/command/"
	cp "$module/go.sum" "$fresh/go.sum"
	{
		cat "$module/go.mod"
		printf 'replace github.com/hashicorp/vault => %s\n' "$fresh/sources"
	} >"$fresh/go.mod"
	flags+=(-modfile="$fresh/go.mod" -tags=minimal -trimpath -buildvcs=false)
	modules=$(grep -c '// indirect' "$module/go.mod")
	watched "modules downloaded" "$modules" '^go: downloading' go list "${flags[@]}" -deps \
		-f '{{if .Stale}}{{.ImportPath}}{{end}}' github.com/hashicorp/vault || return 1
	packages=$(grep -c . "$fresh/out" || true)
	waited=$SECONDS
	until [ -z "$after" ] || [ -e "$after" ]; do
		sleep 0.2
		if [ $((SECONDS - waited)) -ge 8 ]; then
			waited=$SECONDS
			say "  0 of $packages packages: the build waits for the one before it"
		fi
	done
	watched packages "$packages" '^[a-z].*[^:]$' go build "${flags[@]}" -v -ldflags "-s -w" \
		-o "$fresh/vault" github.com/hashicorp/vault || return 1
	keep "$fresh/vault" "$built"
}

started=$SECONDS
say "No server in VAULT_BIN, on PATH or kept: fetching HashiCorp's release of Vault $version."
if release; then
	say "Fetched in $((SECONDS - started)) s."
	found "$released" "HashiCorp's release"
fi
say "Building Vault $version from source, small, some 3 minutes on two cores; kept in $cache."
started=$SECONDS
build || {
	tail -n 5 "$fresh/log" >&2
	die "Vault $version does not build; set VAULT_BIN to one that you have"
}
say "Built in $((SECONDS - started)) s."
found "$built" built
