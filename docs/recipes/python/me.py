"""Asks Microsoft Graph who the account's user is. Needs Python alone.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... python3 me.py
"""

import json
import os
import sys
import urllib.error
import urllib.request


def get(url, header):
    with urllib.request.urlopen(urllib.request.Request(url, headers=header), timeout=60) as answer:
        return json.load(answer)


vault, token = os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"]
try:
    secret = get(vault + "/v1/entra/token/ci/graph", {"X-Vault-Token": token})
except urllib.error.HTTPError as error:
    # The message begins with a word, such as login_required.
    sys.exit(json.load(error)["errors"][0])

graph = os.environ.get("GRAPH", "https://graph.microsoft.com")
me = get(graph + "/v1.0/me", {"Authorization": "Bearer " + secret["data"]["access_token"]})
print(json.dumps(me))
