// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"encoding/base64"
	"encoding/json"
	"time"
)

// AccessToken is what the simulator knows about an access token it has issued.
type AccessToken struct {
	Active   bool      `json:"active"` // neither expired nor, for a CAE token, revoked
	Username string    `json:"username"`
	ObjectID string    `json:"object_id"`
	TenantID string    `json:"tenant_id"`
	ClientID string    `json:"client_id"`
	Audience string    `json:"audience"`
	Scope    string    `json:"scope"`
	CAE      bool      `json:"cae"`
	Issued   time.Time `json:"issued"`
	Expires  time.Time `json:"expires"`

	sequence int64
}

// issueAccessToken makes an access token. To clients it is opaque: it looks
// like a JWT, but its signature cannot be verified, as with Graph's.
func (s *Simulator) issueAccessToken(at authority, g *grant) string {
	now := s.now()
	info := &AccessToken{
		Username: g.user.Username, ObjectID: g.user.ObjectID, TenantID: g.user.TenantID,
		ClientID: g.app.ClientID,
		Audience: g.resource.prefix, Scope: g.granted, CAE: g.cae, Issued: now,
		Expires: now.Add(g.lifetime), sequence: g.sequence,
	}
	if info.Audience == "" {
		info.Audience = g.resource.URIs[0]
	}
	claims := map[string]any{
		"aud": info.Audience, "iss": "https://sts.windows.net/" + g.user.TenantID + "/",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": info.Expires.Unix(),
		"acct": 0, "appid": g.app.ClientID, "app_displayname": g.app.Name, "idtyp": "user",
		"name": g.user.Name, "oid": g.user.ObjectID, "tid": g.user.TenantID, "upn": g.user.Username,
		"unique_name": g.user.Username,
		"scp":         g.granted, "rh": "1.A" + randomString(24), "uti": randomString(16),
		"ver": "1.0",
	}
	if g.cae {
		claims["xms_cc"] = []string{"CP1"}
	}
	token := unsignedJWT(
		map[string]any{"typ": "JWT", "alg": "RS256", "nonce": randomString(32), "kid": "sim"},
		claims) + randomString(
		256,
	)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessTokens[hashToken(token)] = info
	if len(s.accessTokens) > s.sweepAt {
		for hash, old := range s.accessTokens {
			if now.Sub(old.Expires) > time.Hour {
				delete(s.accessTokens, hash)
			}
		}
		s.sweepAt = 2*len(s.accessTokens) + 1000
	}
	return token
}

// unsignedJWT returns header and payload with both dots and no signature.
func unsignedJWT(header, claims map[string]any) string {
	part := func(v map[string]any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic("entratest: claims that are no JSON: " + err.Error())
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	return part(header) + "." + part(claims) + "."
}

// Introspect tells what an access token is, as a resource would find out. It
// reports false for a token that this simulator has not issued.
func (s *Simulator) Introspect(token string) (AccessToken, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.accessTokens[hashToken(token)]
	if !ok {
		return AccessToken{}, false
	}
	info := *known
	info.Active = s.now().Before(info.Expires)
	if u := s.users[userKey(info.Username)]; info.CAE &&
		(u == nil || u.refusal(info.sequence, nil) != nil) {
		info.Active = false
	}
	return info, true
}
