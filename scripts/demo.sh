#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Shows the engine at work on a real Vault: from config and sign-in to a token
# that is refreshed when it expires. Every command is printed as it is run.
#
# usage: scripts/demo.sh [--keep] [--browser]
#
#   --keep      leave Vault and the simulator running, and say how to use them
#   --browser   sign in with your own browser ($BROWSER, or the system's) instead of curl
#
# Without more, Entra ID is simulated. To use the real one and your own browser:
#
#   ENTRA_TENANT_ID, ENTRA_CLIENT_ID    the app registration
#   ENTRA_CLIENT_SECRET                 where it is a confidential client (platform Web)
#   ENTRA_SCOPES                        default User.Read
#
# Register http://localhost/v1/entra/callback as its redirect URI: under Web with
# a secret, else under Mobile and desktop applications. Entra ignores the port.

# Commands are strings, so that what is printed is exactly what is run: run sets
# and expands their variables, which shellcheck does not see.
# shellcheck disable=SC2016,SC2034,SC2154

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

keep=false browser=false
for option; do
	case "$option" in
	--keep) keep=true ;;
	--browser) browser=true ;;
	-h | --help) usage && exit ;;
	*) usage >&2 && exit 2 ;;
	esac
done
need go git curl

real=false
if [ -n "${ENTRA_TENANT_ID:-}${ENTRA_CLIENT_ID:-}" ]; then
	if [ -z "${ENTRA_TENANT_ID:-}" ] || [ -z "${ENTRA_CLIENT_ID:-}" ]; then
		die "the real Entra ID needs both ENTRA_TENANT_ID and ENTRA_CLIENT_ID"
	fi
	real=true
fi

umask 077
work=$(mktemp -d "${TMPDIR:-/tmp}/entra-demo-XXXXXX")
pids=()

cleanup() {
	local status=$? pid
	if [ "$status" -eq 0 ] && $keep; then
		return
	fi
	for pid in ${pids[@]+"${pids[@]}"}; do
		stop_group "$pid" 15 # each is a group of its own
	done
	rm -rf "$work"
}
trap cleanup EXIT
trap 'trap "" INT TERM && exit 130' INT TERM # once: the second would cut cleanup short

bold='' plain=''
if [ -t 1 ]; then
	bold=$'\e[1m' plain=$'\e[0m'
fi

# chapter TITLE: ends the chapter before it, whose seconds are kept for the end.
title='' began=$SECONDS timetable=()
chapter() {
	[ -z "$title" ] || timetable+=("$((SECONDS - began)) s  $title")
	title=$1 began=$SECONDS
	printf '\n%s=== %s%s\n' "$bold" "$title" "$plain"
}
note() {
	echo
	printf '# %s\n' "$@"
}

# run COMMAND: prints a command line and runs it.
run() {
	printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"
	eval "$1" 2>&1
}

# refused COMMAND: run, for a command that has to fail.
refused() {
	printf '\n%s$ %s%s\n' "$bold" "$1" "$plain"
	if eval "$1" 2>&1; then
		die "that should have been refused"
	fi
}

# What a browser does with a page, in sed: its text, a form's target, a hidden field.
unescape() {
	sed -e 's/&#43;/+/g' -e "s/&#39;/'/g" -e 's/&#34;/"/g' \
		-e 's/&lt;/</g' -e 's/&gt;/>/g' -e 's/&amp;/\&/g'
}
action() { sed -n 's/.*<form method="post" action="\([^"]*\)".*/\1/p' "$1" | unescape; }
field() {
	sed -n 's/.*<input type="hidden" name="'"$1"'" value="\([^"]*\)">.*/\1/p' "$2" | unescape
}
text() {
	sed -e '/<head>/,/<\/head>/d' -e '/<script/d' -e 's/<\/dt><dd>/: /' \
		-e 's/<\/code><\/li><li>/, /g' -e 's/<button[^>]*>\([^<]*\)<\/button>/[\1] /g' \
		-e 's/<[^>]*>//g' -e '/^[[:space:]]*$/d' "$1" |
		unescape | sed 's/^/  | /'
}

# from_simulator NAME: a value of simulator.json.
from_simulator() { sed -n 's/^  "'"$1"'": "\(.*\)",\{0,1\}$/\1/p' simulator.json; }

# control PATH [JSON]: the simulator's control API.
control() {
	curl -sS --fail-with-body --noproxy '*' --cacert ca.pem -H 'Content-Type: application/json' \
		"$(from_simulator control)$1" ${2:+-d "$2"}
}

# start LOG COMMAND...: in the background, in a process group of its own, so that
# Ctrl-C in this terminal does not reach what --keep leaves running.
start() {
	local log=$1
	shift
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	set +m
	started=$!
	pids+=("$started")
}

# --- the pieces: what is quick to see, while the server is got

cd "$work"
mkdir plugins
start vault.sh.log "$root/scripts/vault.sh" --to "$work/vault.path" --after "$work/compiled"
server=$started

# show_server PREFIX: what vault.sh has said since the last time; shown.lines counts it.
show_server() {
	local lines
	lines=$(wc -l <vault.sh.log)
	[ "$lines" -gt "$(cat shown.lines)" ] || return 0
	sed -n "$(($(cat shown.lines) + 1)),${lines}s/^/$1/p" vault.sh.log
	echo "$lines" >shown.lines
}
echo 0 >shown.lines

# until_gone PID [PREFIX]: waits for a process of start, and meanwhile shows how far the server
# is. The shell itself does nothing but wait: a signal that comes while a command runs that ends
# well is lost to its trap.
until_gone() {
	local follower status=0
	while [ -d "$work" ] && ! process_gone "$1"; do
		show_server "${2:-}"
		sleep 0.5
	done 2>/dev/null &
	follower=$!
	wait "$1" || status=$?
	wait "$follower" || true
	show_server "${2:-}"
	return "$status"
}

chapter "Build the plugin, while a server is got"
note "scripts/build.sh plugins"
start build.log "$root/scripts/build.sh" plugins
until_gone "$started" "  (server) " || ended_already build.log "the plugin's build"
grep -v '^go: downloading' build.log

if ! $real; then
	chapter "Start the Entra simulator: HTTPS, its own CA, tokens that live 12 seconds"
	start build.log env CGO_ENABLED=0 go build -C "$root" -buildvcs=false -trimpath \
		-o "$work/entra-simulator" ./cmd/entra-simulator
	until_gone "$started" "  (server) " || ended_already build.log "the simulator's build"
	: >compiled
	note './entra-simulator -dir . -token-lifetime 12s &'
	start simulator.log ./entra-simulator -dir . -token-lifetime 12s
	wait_for 20 test -s simulator.json || ended_already simulator.log "the simulator"
	cat simulator.log
	export no_proxy=127.0.0.1,localhost NO_PROXY=127.0.0.1,localhost # for curl
	note "What a person will see of it:"
	page=$(from_simulator authority)
	page=${page%/v2.0}/oauth2/v2.0/authorize
	page+="?client_id=$(from_simulator client_id)&response_type=code&scope=openid&state=demo"
	page+="&redirect_uri=http%3A%2F%2Flocalhost%2Fv1%2Fentra%2Fcallback"
	run 'curl -sS --cacert ca.pem "$page" -o sign-in.html && text sign-in.html'
	rm sign-in.html
fi

chapter "Get a server"
: >compiled
until_gone "$server" || die "there is no server to show it on"
vault_bin=$(cat vault.path)
vault() { "$vault_bin" "$@"; }
version=$(plugin_version)
sha256=$(sha256_of plugins/vault-plugin-secrets-entra)

chapter "Start Vault and mount the engine"
port=$(free_port)
for variable in $(compgen -e VAULT_ || true) $(compgen -e BAO_ || true); do
	unset "$variable" # what points the vault command elsewhere
done
export VAULT_ADDR=http://127.0.0.1:$port
VAULT_TOKEN=$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')
export VAULT_TOKEN
printf 'plugin_directory = "%s"\n' "$work/plugins" >vault.hcl
note "vault server -dev -config=vault.hcl -dev-listen-address=127.0.0.1:$port -dev-root-token-id=\$VAULT_TOKEN &" \
	"export VAULT_ADDR=$VAULT_ADDR"
start vault.log env HOME="$work" "$vault_bin" server -dev -config=vault.hcl -dev-no-store-token \
	-dev-listen-address="127.0.0.1:$port" -dev-root-token-id="$VAULT_TOKEN"
wait_for 30 vault token lookup || ended_already vault.log "Vault"

run 'vault plugin register -sha256="$sha256" -version="$version" secret vault-plugin-secrets-entra'
run 'vault secrets enable -path=entra -plugin-version="$version" -allowed-response-headers=Content-Security-Policy -allowed-response-headers=X-Frame-Options -allowed-response-headers=Referrer-Policy vault-plugin-secrets-entra'

# --- a sign-in

# sign_in: opens auth_url and signs alice in, step by step as her browser would.
sign_in() {
	note "Her browser opens auth_url and shows Entra's sign-in page:"
	run 'curl -sS --cacert ca.pem -c cookies -b cookies "$auth_url" -o sign-in.html && text sign-in.html'
	note "She picks herself and presses Sign in. Entra answers with a form for Vault's callback:"
	run 'curl -sS --cacert ca.pem -c cookies -b cookies "$(action sign-in.html)" --data-urlencode "flow=$(field flow sign-in.html)" -d username=alice -d action=signin -o form-post.html'
	run 'action form-post.html'
	note "The browser posts it (in the body: Vault's audit log shows a query string in clear)." \
		"Vault asks her before it redeems the code:"
	run 'curl -sS "$(action form-post.html)" --data-urlencode "code=$(field code form-post.html)" --data-urlencode "state=$(field state form-post.html)" -D headers -o confirm.html && text confirm.html'
	run 'grep -i -e ^HTTP/ -e ^Content-Security-Policy -e ^X-Frame-Options -e ^Referrer-Policy headers'
	note "She confirms:"
	run 'curl -sS "$(action form-post.html)" --data-urlencode "code=$(field code confirm.html)" --data-urlencode "state=$(field state confirm.html)" -d decision=confirm -o done.html && text done.html'
	grep -q 'You are signed in' done.html || die "the sign-in did not work"
}

# in_browser: opens auth_url in a browser, and waits for who sits at it.
in_browser() {
	note "Your browser will say that it does not know who vouches for the sign-in page: it is the" \
		"simulator's, at 127.0.0.1, and its CA was made a moment ago for this run alone:" \
		"$work/ca.pem. Go on past the warning, or let a throw-away profile trust that CA;" \
		"never your everyday one. Pick a user, sign in, and confirm on Vault's page."
	open_browser "$auth_url" || note "No browser was found. Open this in one: $auth_url"
	note "Waiting for your sign-in, at most 10 minutes (Ctrl-C stops)."
	wait_for 600 login_ended || die "nobody signed in"
	[ "$(vault read -field=status entra/login/alice)" = succeeded ] ||
		die "the sign-in did not work"
}

open_browser() {
	local command
	for command in ${BROWSER:+"$BROWSER"} xdg-open open; do
		if command -v "$command" >/dev/null; then
			start browser.log "$command" "$1"
			return
		fi
	done
	return 1
}

# start_login prints the command and its output, and keeps auth_url.
start_login() {
	run 'vault write -f entra/login/alice | tee login.txt'
	auth_url=$(awk '$1 == "auth_url" { print $2 }' login.txt)
	[ -n "$auth_url" ] || die "no auth_url"
}

with_simulator() {
	client_secret=$(from_simulator client_secret)
	tenant_id=$(from_simulator tenant_id)
	client_id=$(from_simulator client_id)
	authority_url=$(from_simulator authority)

	chapter "1. config: the app registration"
	note "background_refresh=false: here it is to be the read that refreshes, as after a night without Vault."
	run 'printf %s "$client_secret" | vault write entra/config tenant_id="$tenant_id" client_id="$client_id" client_secret=- redirect_uris="$VAULT_ADDR/v1/entra/callback" authority_url="$authority_url" ca_pem=@ca.pem scopes=User.Read background_refresh=false'
	run 'vault read entra/config | grep -v -e CERTIFICATE -e "^[A-Za-z0-9+/=]*$"'

	chapter "2. login: alice asks for a sign-in"
	refused 'vault read entra/token/alice'
	start_login
	if $browser; then
		in_browser
	else
		sign_in
		rm -f sign-in.html form-post.html confirm.html
	fi
	run 'vault read entra/login/alice'
	run 'vault read entra/account/alice'

	chapter "3. token: read it, as often as you like"
	run 'vault read entra/token/alice'
	run 'first=$(vault read -field=access_token entra/token/alice)'
	note "What a resource would make of it, by the simulator:"
	run 'control introspect "{\"token\": \"$first\"}"'

	chapter "4. expiry: the same read, once that token has expired"
	note "Until the simulator calls the first token expired, at most 60 s:"
	run 'wait_for 60 expired "$first" && control introspect "{\"token\": \"$first\"}" | grep -e active -e expires'
	run 'vault read entra/token/alice'
	run 'second=$(vault read -field=access_token entra/token/alice)'
	[ "$first" != "$second" ] || die "the token was not refreshed"
	run 'control introspect "{\"token\": \"$second\"}" | grep -e active -e username -e expires'
	note "Token requests that Entra saw, for all of this:"
	run 'control state | sed -n "/\"grants\"/,/}/p"'

	chapter "5. Entra wants a new sign-in"
	note "Her sessions are revoked. A token that is held is served until it expires, at most 12 s:"
	run 'control revoke "{\"user\": \"alice\"}"'
	wait_for 60 login_required || die "the revoked account is still served"
	refused 'vault read entra/token/alice'
	run 'vault read -field=state entra/account/alice'
	note "So she signs in again, with the command from the message:"
	rm -f cookies
	start_login
	sign_in
	run 'vault read entra/token/alice'
	if $keep; then
		note "Back to the default for what is left running: tokens in use are refreshed ahead."
		run 'vault write entra/config background_refresh=true'
	fi
}

expired() { control introspect "{\"token\": \"$1\"}" | grep -q '"active": *false'; }
login_required() { ! vault read entra/token/alice; }

# --- the real Entra ID

with_entra() {
	scopes=${ENTRA_SCOPES:-User.Read}
	redirect_uri=http://localhost:$port/v1/entra/callback
	chapter "1. config: the app registration"
	if [ -n "${ENTRA_CLIENT_SECRET:-}" ]; then
		run 'printf %s "$ENTRA_CLIENT_SECRET" | vault write entra/config tenant_id="$ENTRA_TENANT_ID" client_id="$ENTRA_CLIENT_ID" client_secret=- redirect_uris="$redirect_uri" scopes="$scopes"'
	else
		run 'vault write entra/config tenant_id="$ENTRA_TENANT_ID" client_id="$ENTRA_CLIENT_ID" redirect_uris="$redirect_uri" scopes="$scopes"'
	fi
	run 'vault read entra/config'

	chapter "2. login: open auth_url in your browser and sign in"
	start_login
	if $browser; then
		open_browser "$auth_url" || note "No browser was found; open auth_url in one."
	fi
	note "Waiting for your sign-in, at most 10 minutes (Ctrl-C stops)."
	wait_for 600 login_ended || die "nobody signed in"
	run 'vault read entra/login/alice'
	[ "$(vault read -field=status entra/login/alice)" = succeeded ] ||
		die "the sign-in did not work"
	run 'vault read entra/account/alice'

	chapter "3. token: read it, as often as you like"
	note "The token is real: only its beginning is shown."
	run 'vault read entra/token/alice | sed "s/^\(access_token  *.\{8\}\).*/\1.../"'
	note "It is refreshed when it has less than 10 minutes to live, in an hour or so."
}

login_ended() { sleep 1 && [ "$(vault read -field=status entra/login/alice)" != pending ]; }

if $real; then with_entra; else with_simulator; fi

chapter "The whole way was walked"
printf '%s\n' ${timetable[@]+"${timetable[@]}"} "$SECONDS s  in all"
if $keep; then
	cat <<END

Vault is left running:

    export VAULT_ADDR=$VAULT_ADDR VAULT_TOKEN=$VAULT_TOKEN
    $vault_bin read entra/token/alice

Files and logs are in $work. To stop and remove all of it:

    kill ${pids[*]}; rm -rf $work
END
	if ! $real; then
		cat <<'END'

To sign in with a browser, run vault write -f entra/login/NAME and open auth_url.
The browser has to accept the simulator's certificate; its CA is ca.pem.
END
	fi
fi
