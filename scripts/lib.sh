# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# Functions shared by the scripts beside this file. Source it; it runs nothing.
# Only bash, curl, git, Go and the POSIX tools are needed.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Where things are kept that are worth keeping between runs, such as a built Vault.
# shellcheck disable=SC2034 # used by the scripts
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vault-plugin-secrets-entra

say() { printf '%s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

# need COMMAND...: stops, with the name, if one is not installed.
need() {
	local command
	for command; do
		command -v "$command" >/dev/null || die "$command is needed and was not found on PATH"
	done
}

# plugin_version prints the version that the plugin is built with. Vault refuses
# a registration whose -version differs from what the binary reports.
plugin_version() {
	if [ -n "${VERSION:-}" ]; then
		printf '%s\n' "$VERSION"
		return
	fi
	sed -n 's/^[[:space:]]*version *= "\(v[^"]*\)"$/\1/p' "$root/main.go"
}

# commit_id prints the commit of the working tree, with -dirty if files differ.
commit_id() {
	local id
	id=$(git -C "$root" rev-parse --short=12 HEAD 2>/dev/null) || id=unknown
	if [ "$id" != unknown ] && [ -n "$(git -C "$root" status --porcelain 2>/dev/null)" ]; then
		id=$id-dirty
	fi
	printf '%s\n' "$id"
}

# sha256_of FILE prints the checksum alone.
sha256_of() {
	if command -v sha256sum >/dev/null; then
		sha256sum "$1" | cut -d' ' -f1
	else
		shasum -a 256 "$1" | cut -d' ' -f1
	fi
}

# free_port prints a loopback port that nobody listens on. The range lies below
# the ephemeral ports, so no outgoing connection takes it meanwhile.
free_port() {
	local port attempt
	for attempt in {1..100}; do
		port=$((20000 + (RANDOM * 32768 + RANDOM) % 10000))
		if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
			printf '%s\n' "$port"
			return
		fi
	done
	die "no free port found in $attempt attempts"
}

# wait_for SECONDS COMMAND...: tries the command until it succeeds, at most so
# long. Its output is discarded.
wait_for() {
	local deadline=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$deadline" ] || return 1
		sleep 0.2
	done
}

process_gone() { ! kill -0 "$1" 2>/dev/null; }

# stop_group PID [SECONDS]: asks a process group to end, as Ctrl-C does, and ends it after 5 s.
stop_group() {
	kill -INT -- "-$1" 2>/dev/null || return 0
	wait_for "${2:-5}" group_gone "$1" || kill -9 -- "-$1" 2>/dev/null || true
}

group_gone() { ! kill -0 -- "-$1" 2>/dev/null; }

# server_version BINARY prints the first line of what it says of its version, at most
# 200 bytes, and waits at most 10 s for it.
server_version() {
	(
		trap 'kill -9 -- "-$!"; exit 130' INT TERM
		set -m
		("$1" version 2>/dev/null </dev/null | head -c 200 | head -n 1) &
		for _ in {1..200}; do
			process_gone "$!" && break
			sleep 0.05
		done
		kill -9 -- "-$!" || true
	) 2>/dev/null
}

# server_kind BINARY prints vault or bao, or nothing if it is neither.
server_kind() {
	case $(server_version "$1") in
	"Vault v"*) echo vault ;;
	"OpenBao v"*) echo bao ;;
	esac
}

# ended_already LOG WHAT: stops with the end of a log, for a process that did not
# come up.
ended_already() {
	say "--- end of its log, $1"
	tail -n 20 "$1" >&2 || true
	die "$2 did not come up"
}
