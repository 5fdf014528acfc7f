// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rotation says what becomes of a refresh token that has been used. A new one
// comes with every answer.
type Rotation string

// The rotation policies.
const (
	RotateKeepOld Rotation = "entra" // the old one stays good
	// the old one is refused, the new one survives that
	RotateRefuseOld    Rotation = "refuse-old"
	RotateRevokeFamily Rotation = "revoke-family" // presenting an old one ends the new one, too
)

// ParseRotation reads the name of a policy.
func ParseRotation(name string) (Rotation, error) {
	r := Rotation(name)
	if !slices.Contains([]Rotation{RotateKeepOld, RotateRefuseOld, RotateRevokeFamily}, r) {
		return "", fmt.Errorf("no rotation policy %q: use %s, %s or %s", name, RotateKeepOld,
			RotateRefuseOld, RotateRevokeFamily)
	}
	return r, nil
}

const (
	refreshTokenLifetime = 90 * 24 * time.Hour // of inactivity
	spaLifetime          = 24 * time.Hour      // from the sign-in
)

// tokenHash stands for a token in the maps, so that a long run keeps no heap of
// long strings.
type tokenHash [sha256.Size]byte

func hashToken(token string) tokenHash { return sha256.Sum256([]byte(token)) }

// tokenFamily is all refresh tokens of one sign-in.
type tokenFamily struct {
	id       string
	username string
	clientID string
	platform Platform
	policy   string
	sequence int64 // of the sign-in
	created  time.Time
	current  string // the newest token
	revoked  bool   // by a reuse
	expired  bool   // by a test
}

type refreshToken struct {
	family   *tokenFamily
	issued   time.Time
	lastUsed time.Time
	used     bool
}

// startFamily makes the first refresh token of a sign-in. s.mu must be held.
func (s *Simulator) startFamily(g *grant, platform Platform, policy string) string {
	family := &tokenFamily{
		id: randomGUID(), username: g.user.Username, clientID: g.app.ClientID,
		platform: platform, policy: policy, sequence: g.sequence, created: s.now(),
	}
	s.families = append(s.families, family)
	return s.nextRefreshToken(family)
}

func (s *Simulator) nextRefreshToken(family *tokenFamily) string {
	family.current = "1.AXoA" + randomString(600)
	now := s.now()
	s.refreshTokens[hashToken(family.current)] = &refreshToken{family: family, issued: now,
		lastUsed: now}
	return family.current
}

// redeemRefreshToken is the refresh token grant. The token is bound to the
// user and the client, not to a resource.
func (c *call) redeemRefreshToken(app *App) (*grant, *entraError) {
	value := c.form.Get("refresh_token")
	if value == "" {
		return nil, missingParameter("refresh_token")
	}
	token := c.s.refreshTokens[hashToken(value)]
	if token == nil {
		if strings.HasPrefix(value, "1.A") || strings.HasPrefix(value, "0.A") {
			return nil, aadsts(70000, "")
		}
		return nil, malformedGrant()
	}
	if refused := c.s.checkRefreshToken(token, app, c.at.policy); refused != nil {
		return nil, refused
	}
	u, refused := c.s.userOf(token.family.username)
	if refused != nil {
		return nil, refused
	}
	if !c.at.admits(u.TenantID) {
		return nil, aadsts(50020, "")
	}
	if c.form.Get("scope") == "" {
		return nil, requestsItself(app)
	}
	req, refused := c.s.parseScopes(c.form.Get("scope"), c.at)
	if refused != nil {
		return nil, refused
	}
	resource, refused := c.oneResource(req)
	if refused != nil {
		return nil, refused
	}
	if resource.GUIDOnly && resource.AppID == app.ClientID && resource.prefix != app.ClientID {
		return nil, requestsItself(app)
	}
	g, refused := c.grant(app, u, req, resource, token.family.sequence)
	if refused != nil {
		return nil, refused
	}
	token.lastUsed = c.s.now()
	if !c.omits("refresh_token") {
		token.used = true
		g.refresh = c.s.nextRefreshToken(token.family)
	}
	return g, nil
}

// requestsItself is the refusal of a refresh without a scope, or of the app's own API by its URI.
func requestsItself(app *App) *entraError {
	return aadsts(90009, "Application '"+app.ClientID+"'("+app.Name+") is requesting a token for "+
		"itself. This scenario is supported only if resource is specified using the GUID based "+
		"App Identifier.")
}

// checkRefreshToken refuses a token that is another client's, was used before
// under a policy that forbids it, or has expired. s.mu must be held.
func (s *Simulator) checkRefreshToken(token *refreshToken, app *App, policy string) *entraError {
	family := token.family
	switch {
	case family.clientID != app.ClientID:
		return aadsts(70000,
			"Provided grant is invalid: the refresh token was issued to another client.")
	case family.policy != policy:
		return otherProviderError("invalid_grant",
			"AADB2C90088: The provided grant has not been issued for this endpoint.")
	case family.revoked:
		return otherProviderError("invalid_grant", "the grant has been revoked")
	case token.used && s.rotation == RotateRevokeFamily:
		family.revoked = true
		return otherProviderError("invalid_grant",
			"refresh token was already used: the grant is revoked")
	case token.used && s.rotation == RotateRefuseOld:
		return otherProviderError("invalid_grant", "refresh token was already used")
	}
	return s.refreshTokenExpiry(token)
}

// refreshTokenExpiry is the error for a token that has expired, or nil.
func (s *Simulator) refreshTokenExpiry(token *refreshToken) *entraError {
	now, lifetime := s.now(), s.lifetimes.RefreshToken
	if lifetime == 0 {
		lifetime = refreshTokenLifetime
	}
	switch family := token.family; {
	case family.platform == SPA && now.Sub(family.created) >= spaLifetime:
		return aadsts(700084, "")
	case family.expired, now.Sub(token.lastUsed) >= lifetime:
		return aadsts(
			700082,
			fmt.Sprintf(
				"The refresh token has expired due to inactivity. The token was issued on %s "+
					"and was inactive for %s.",
				token.issued.UTC().Format(time.RFC3339), lifetime),
		)
	}
	return nil
}

// RefreshToken is a refresh token that is still good.
type RefreshToken struct {
	Token    string    `json:"token,omitempty"`
	Family   string    `json:"family"` // the same for all that came from one sign-in
	Username string    `json:"username"`
	ClientID string    `json:"client_id"`
	Platform Platform  `json:"platform"`
	Issued   time.Time `json:"issued"`
	LastUsed time.Time `json:"last_used"`
}

// RefreshTokens returns the newest refresh token of each of a user's sign-ins
// that is still good; "" means of all users.
func (s *Simulator) RefreshTokens(username string) []RefreshToken {
	s.mu.Lock()
	defer s.mu.Unlock()
	var live []RefreshToken
	for _, family := range s.families {
		u := s.users[userKey(family.username)]
		if u == nil || username != "" && u != s.userNamed(username) {
			continue
		}
		token := s.refreshTokens[hashToken(family.current)]
		if family.revoked || token.used && s.rotation != RotateKeepOld ||
			s.refreshTokenExpiry(token) != nil ||
			u.refusal(family.sequence, nil) != nil {
			continue
		}
		live = append(live, RefreshToken{
			Token: family.current, Family: family.id, Username: family.username,
			ClientID: family.clientID,
			Platform: family.platform, Issued: token.issued, LastUsed: token.lastUsed,
		})
	}
	return live
}

// ExpireRefreshTokens ends all of a user's refresh tokens, as inactivity does:
// AADSTS700082. A later sign-in gets good ones.
func (s *Simulator) ExpireRefreshTokens(username string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userNamed(username)
	if u == nil {
		return fmt.Errorf("no user %q", username)
	}
	for _, family := range s.families {
		if userKey(family.username) == userKey(u.Username) {
			family.expired = true
		}
	}
	return nil
}

// IssueRefreshToken signs a user in to an app behind the scenes and returns the
// refresh token, as if another program had obtained it. The platform must be
// one that the app has a redirect URI for.
func (s *Simulator) IssueRefreshToken(username, clientID string, platform Platform,
	scopes ...string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, app := s.userNamed(username), s.apps[appKey(clientID)]
	if u == nil || app == nil {
		return "", fmt.Errorf("no user %q or no app %q", username, clientID)
	}
	if !slices.ContainsFunc(app.RedirectURIs,
		func(r RedirectURI) bool { return r.Platform == platform }) {
		return "", fmt.Errorf("app %q has no redirect URI of platform %q", clientID, platform)
	}
	req, refused := s.parseScopes(strings.Join(scopes, " "), authority{segment: u.TenantID})
	if refused == nil {
		refused = req.askable(app)
	}
	if refused == nil {
		refused = s.consent(u, app, req)
	}
	if refused != nil {
		return "", refused
	}
	s.sequence++
	return s.startFamily(&grant{app: app, user: u.User, sequence: s.sequence}, platform, ""), nil
}
