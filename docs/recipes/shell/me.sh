#!/bin/sh
# Asks Microsoft Graph who the account's user is. Needs curl alone.
# VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... me.sh
set -eu
: "${VAULT_ADDR:?}" "${VAULT_TOKEN:?}"

token=$(curl -sS --fail-with-body -H "X-Vault-Token: $VAULT_TOKEN" \
	"$VAULT_ADDR/v1/entra/token/ci/graph" |
	sed -n 's/.*"access_token":"\([^"]*\)".*/\1/p')

# By standard input, so that the token does not stand in the list of processes.
printf 'header = "Authorization: Bearer %s"\n' "$token" |
	curl -sS --fail-with-body -K - "${GRAPH:-https://graph.microsoft.com}/v1.0/me"
