// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"slices"
	"time"
)

// clientInfo is what MSAL makes the home account id from.
func clientInfo(u User) string {
	b, err := json.Marshal(map[string]string{"uid": u.ObjectID, "utid": u.TenantID})
	if err != nil {
		panic("entratest: client_info: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// idTokenClaims are the claims for one user and app. oid, name and
// preferred_username come only with the scope profile, email only with email
// (learn.microsoft.com, "ID token claims reference").
func (c *call) idTokenClaims(g *grant, u User) map[string]any {
	now := c.s.now()
	subject := sha256.Sum256([]byte(u.ObjectID + g.app.ClientID))
	issued := now.Add(-5 * time.Minute).Unix() // Entra allows for clocks that are behind
	claims := map[string]any{
		"aud": g.app.ClientID,
		"iss": c.at.issuer(u.TenantID),
		"iat": issued, "nbf": issued, "exp": now.Add(time.Hour).Unix(),
		"sub": base64.RawURLEncoding.EncodeToString(subject[:]),
		"tid": u.TenantID,
		"rh":  "1.A" + randomString(24), "sid": randomGUID(), "uti": randomString(16), "ver": "2.0",
	}
	if g.scopes.profile {
		claims["oid"], claims["name"], claims["preferred_username"] = u.ObjectID, u.Name, u.Username
	}
	if g.scopes.email {
		claims["email"] = u.Username
	}
	if u.HomeTenantID != "" && u.HomeTenantID != u.TenantID {
		claims["idp"] = "https://sts.windows.net/" + u.HomeTenantID + "/"
	}
	if slices.Contains(g.app.OptionalClaims, "acct") {
		claims["acct"] = 0
		if _, isGuest := claims["idp"]; isGuest {
			claims["acct"] = 1
		}
	}
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	return claims
}

// idToken signs an ID token, or spoils it as a fault says.
func (c *call) idToken(g *grant) string {
	ring := c.s.keys
	if own := c.s.ownKeys(g.app.ClientID); own != nil {
		ring = own
	}
	key := ring.current()
	claims := c.idTokenClaims(g, g.user)
	if c.fault == nil || c.fault.IDToken == nil {
		return key.sign(claims, key.kid)
	}
	fault := c.fault.IDToken
	claims = fault.spoil(c, g, claims)
	for name, value := range fault.Claims {
		claims[name] = value
		if value == nil {
			delete(claims, name)
		}
	}
	switch fault.Kind {
	case IDGarbage:
		return "not-a-jwt"
	case IDAlgNone:
		return unsignedJWT(map[string]any{"typ": "JWT", "alg": "none"}, claims)
	case IDAlgHS256:
		return key.signWithPublicKey(claims)
	case IDWrongSignature:
		return unlisted().sign(claims, key.kid)
	case IDUnknownKey:
		forged := unlisted()
		return forged.sign(claims, forged.kid)
	}
	return key.sign(claims, key.kid)
}

// spoil returns the claims with what the fault's kind changes in them.
func (f *IDTokenFault) spoil(c *call, g *grant, claims map[string]any) map[string]any {
	claims = maps.Clone(claims)
	now := c.s.now()
	switch f.Kind {
	case IDWrongAudience:
		claims["aud"] = randomGUID()
	case IDWrongNonce:
		claims["nonce"] = randomString(32)
	case IDNoNonce:
		delete(claims, "nonce")
	case IDWrongIssuer:
		claims["iss"] = "https://login.attacker.example/" + g.user.TenantID + "/v2.0"
	case IDWrongTenant:
		claims["tid"], claims["iss"] = FabrikamTenantID, c.at.issuer(FabrikamTenantID)
	case IDTenantNoGUID:
		claims["tid"], claims["iss"] = "contoso", c.at.issuer("contoso")
	case IDExpired:
		claims["iat"], claims["nbf"], claims["exp"] = now.Add(-3*time.Hour).Unix(), now.Add(
			-3*time.Hour).Unix(), now.Add(-2*time.Hour).Unix()
	case IDNotYetValid:
		claims["iat"], claims["nbf"], claims["exp"] = now.Add(2*time.Hour).Unix(), now.Add(
			2*time.Hour).Unix(), now.Add(3*time.Hour).Unix()
	case IDOtherUser:
		other := User{Username: "eve@contoso.example", Name: "Eve Evans",
			ObjectID: namedGUID("user:eve@contoso.example"), TenantID: g.user.TenantID}
		claims = c.idTokenClaims(g, other)
	}
	return claims
}

// signWithPublicKey makes the forgery that a verifier accepts if it lets the
// token choose the algorithm: HS256 with the public key's PEM as the secret.
func (key *signingKey) signWithPublicKey(claims map[string]any) string {
	der, err := x509.MarshalPKIXPublicKey(key.private.Public())
	if err != nil {
		panic("entratest: public key: " + err.Error())
	}
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	token := unsignedJWT(map[string]any{"typ": "JWT", "alg": "HS256", "kid": key.kid}, claims)
	signed := token[:len(token)-1]
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
