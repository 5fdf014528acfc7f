// SPDX-License-Identifier: MPL-2.0

// Package entra speaks OAuth 2.0 and OpenID Connect as Microsoft Entra ID does, and as other OpenID
// providers do where Config.AuthorityURL names one. It knows nothing of Vault: it turns an
// authorization URL into a code, a code into tokens, an ID token into a verified user, and every
// refusal into an [Error] whose [Class] says whose fault it is.
//
// Read it as a sign-in goes: authorize.go, token.go, idtoken.go, errors.go.
//
// Nothing here retries, stores or logs. A [Client] is safe for concurrent use.
package entra
