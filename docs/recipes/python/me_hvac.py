"""Asks Microsoft Graph who the account's user is, with hvac.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... python3 me_hvac.py
"""

import os
import sys

import hvac
import requests

vault = hvac.Client(url=os.environ["VAULT_ADDR"], token=os.environ["VAULT_TOKEN"])
try:
    secret = vault.read("entra/token/ci/graph")
except hvac.exceptions.VaultError as error:
    # The message begins with a word, such as login_required.
    sys.exit(str(error))
if secret is None:  # hvac makes this of a 404
    sys.exit("no account at entra/token/ci/graph")

graph = os.environ.get("GRAPH", "https://graph.microsoft.com")
header = {"Authorization": "Bearer " + secret["data"]["access_token"]}
me = requests.get(graph + "/v1.0/me", headers=header, timeout=60)
me.raise_for_status()
print(me.text)
