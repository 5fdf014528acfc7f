// Asks Microsoft Graph who the account's user is. Needs Node.js 18 or later, and node-vault.
// VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... node me.js
const vault = require("node-vault")({
  endpoint: process.env.VAULT_ADDR,
  token: process.env.VAULT_TOKEN,
});

async function main() {
  const secret = await vault.read("entra/token/ci/graph");
  const answer = await fetch((process.env.GRAPH || "https://graph.microsoft.com") + "/v1.0/me", {
    headers: { Authorization: "Bearer " + secret.data.access_token },
  });
  const body = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${body}`);
  console.log(body);
}

// The message begins with a word, such as login_required.
main().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
