// SPDX-License-Identifier: MPL-2.0

// Signs in by MSAL for Node.js as a confidential client with PKCE. It prints the
// authorization URL, reads the code from standard input, and prints a line of JSON
// for each thing that it then does.
import readline from "node:readline";
import { ConfidentialClientApplication, CryptoProvider, LogLevel } from "@azure/msal-node";

const { AUTHORITY, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;
const say = (what, value) => console.log(JSON.stringify({ what, ...value }));

const client = (secret) =>
  new ConfidentialClientApplication({
    auth: { clientId: CLIENT_ID, authority: AUTHORITY, clientSecret: secret, knownAuthorities: [new URL(AUTHORITY).host] },
    system: { loggerOptions: { logLevel: LogLevel.Error, loggerCallback: () => {} } },
  });
const attempt = async (what, acquire) => {
  try {
    const result = await acquire();
    say(what, { token: result.accessToken, username: result.account?.username, fromCache: result.fromCache });
    return result;
  } catch (error) {
    say(what, { error: error.errorCode, suberror: error.subError, claims: error.claims, message: error.errorMessage });
  }
};

const scopes = ["User.Read"];
const arm = ["https://management.azure.com//user_impersonation"];
const { verifier, challenge } = await new CryptoProvider().generatePkceCodes();
const app = client(CLIENT_SECRET);
say("url", {
  url: await app.getAuthCodeUrl({ scopes: [...scopes, ...arm], redirectUri: REDIRECT_URI, codeChallenge: challenge, codeChallengeMethod: "S256", state: "of node" }),
});

const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;

const code = await next();
await attempt("wrong secret", () => client("wrong").acquireTokenByCode({ code, scopes, redirectUri: REDIRECT_URI, codeVerifier: verifier }));
const signedIn = await attempt("code", () => app.acquireTokenByCode({ code, scopes, redirectUri: REDIRECT_URI, codeVerifier: verifier }));
const account = signedIn?.account;
await attempt("cached", () => app.acquireTokenSilent({ account, scopes }));
await attempt("refreshed", () => app.acquireTokenSilent({ account, scopes, forceRefresh: true }));
await attempt("second resource", () => app.acquireTokenSilent({ account, scopes: arm }));
await attempt("claims", () =>
  app.acquireTokenSilent({ account, scopes, claims: '{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}' }),
);
say("ready", {});
await next(); // the person must prove more
await attempt("mfa", () => app.acquireTokenSilent({ account, scopes, forceRefresh: true }));
process.exit(0);
