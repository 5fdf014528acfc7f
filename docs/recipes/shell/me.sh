#!/bin/sh
# Asks Microsoft Graph who the account's user is. Needs curl alone.
# VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... me.sh
# Beside a Vault Proxy that authenticates by itself, VAULT_TOKEN is left out.
set -eu
: "${VAULT_ADDR:?}"

# Secrets go to curl by standard input, so that none stands in the list of processes.
if ! secret=$(printf 'header = "X-Vault-Token: %s"\n' "${VAULT_TOKEN:-}" |
	curl -sS --fail-with-body -K - "$VAULT_ADDR/v1/entra/token/ci/graph"); then
	printf '%s\n' "$secret" >&2 # the first of its errors begins with a word, such as login_required
	exit 1
fi
token=$(printf '%s' "$secret" | sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

printf 'header = "Authorization: Bearer %s"\n' "$token" |
	curl -sS --fail-with-body -K - "${GRAPH:-https://graph.microsoft.com}/v1.0/me"
