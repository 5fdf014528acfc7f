// SPDX-License-Identifier: MPL-2.0

// Asks @azure/identity for access tokens, for e2e/commandline. It knows nothing of Vault: what it
// finds, it finds as any program would. Requests and answers are those of ../azure-go/main.go; the
// argument is the name of a credential.
import readline from "node:readline";
import { createRequire } from "node:module";
import { AzureCliCredential, DefaultAzureCredential, ManagedIdentityCredential } from "@azure/identity";

const require = createRequire(import.meta.url);
if (process.argv[2] === "-versions") {
  console.log(JSON.stringify({ "@azure/identity": require("@azure/identity/package.json").version }));
  process.exit(0);
}
const credential = new { AzureCliCredential, DefaultAzureCredential, ManagedIdentityCredential }[process.argv[2]]();

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { resource, calls } = JSON.parse(line);
  try {
    const tokens = await Promise.all(
      Array.from({ length: calls || 1 }, () => credential.getToken(`${resource}/.default`)),
    );
    const [first] = tokens;
    if (tokens.some(({ token }) => token !== first.token)) throw new Error("two tokens at the same time");
    console.log(JSON.stringify({ token: first.token, expires_on: Math.round(first.expiresOnTimestamp / 1000) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.message }));
  }
}
