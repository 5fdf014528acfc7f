// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	accountStoragePrefix = "account/"

	// inactivityLimit is Entra's: a refresh token unused this long is refused
	// (refresh-tokens, "Token lifetime").
	inactivityLimit = 90 * 24 * time.Hour

	// minServedLife is what a served token has left at the very least.
	minServedLife = 3 * time.Second
)

// accountEntry is one account: who signed in, and the tokens kept for that
// user. An entry that has been read is never changed in place: transitions work
// on a copy of their own, see accountStore.update.
type accountEntry struct {
	unknownFields

	Version     int       `json:"version"`
	CreatedTime time.Time `json:"created_time"`

	// Generation changes only when the refresh token's origin changes: a
	// sign-in, an import, a new entry after a delete. A refresh that began
	// under another generation has nothing to say any more.
	Generation string `json:"generation"`

	Pin              accountPin     `json:"pin"`
	User             entra.Identity `json:"user"`
	ClientID         string         `json:"client_id"`         // the refresh token belongs to this client
	Authority        string         `json:"authority"`         // at this authority
	ConfiguredTenant string         `json:"configured_tenant"` // tenant_id of the config at that time
	Scopes           []string       `json:"scopes"`            // of the default token, where a login named them
	Granted          []string       `json:"granted"`           // what the last sign-in granted
	Roles            []string       `json:"roles"`             // consented to: by a login that named them, or a token that Entra gave

	RefreshToken         entra.Secret `json:"refresh_token"`
	PreviousRefreshToken entra.Secret `json:"previous_refresh_token"` // the one before, until RefreshToken has worked once
	RefreshTokenTime     time.Time    `json:"refresh_token_time"`     // when RefreshToken was obtained or last worked

	Tokens   map[string]*heldToken `json:"tokens"`   // by role; "" is the default token
	Refusal  *refusal              `json:"refusal"`  // ends the account until a sign-in
	Refusals map[string]*refusal   `json:"refusals"` // by role, "" likewise

	LoginTime        time.Time      `json:"login_time"`
	LoginRequestedBy string         `json:"login_requested_by"`
	LastRefreshTime  time.Time      `json:"last_refresh_time"`
	LastReadTime     time.Time      `json:"last_read_time"` // as noted at refreshes: a read itself writes nothing
	LastError        *refusal       `json:"last_error"`
	LatestLogin      *loginOutcome  `json:"latest_login"`
	PendingLogins    []pendingLogin `json:"pending_logins"` // oldest first

	Metadata map[string]string `json:"metadata"`
	Disabled bool              `json:"disabled"`
}

// accountPin says whose account this is. A sign-in sets it whole; an operator
// can set Username or ObjectID before the first one.
type accountPin struct {
	User     entra.Identity `json:"user"`
	Username string         `json:"username"`
	ObjectID string         `json:"object_id"`
}

// heldToken is an access token with what is needed to serve it.
type heldToken struct {
	AccessToken entra.Secret `json:"access_token"`
	TokenType   string       `json:"token_type"`
	Scope       string       `json:"scope"`  // as granted
	Wanted      []string     `json:"wanted"` // the configured scopes it stands for
	ObtainedAt  time.Time    `json:"obtained"`
	Expiry      time.Time    `json:"expiry"`

	wasRead atomic.Bool // since it was obtained, on this node
}

// pendingLogin is a login that is waiting for its callback.
type pendingLogin struct {
	StateHash string    `json:"state_hash"`
	Expiry    time.Time `json:"expiry"`
}

func newAccountEntry(now time.Time) *accountEntry {
	return &accountEntry{Version: schemaVersion, CreatedTime: now.UTC(), Generation: rand.Text()}
}

// signedIn reports whether there is a credential at all.
func (e *accountEntry) signedIn() bool { return e.RefreshToken != "" }

// signIn takes over what a sign-in (login, device code, import) was given. It
// begins a new generation and ends every refusal.
func (e *accountEntry) signIn(s *entra.SignIn, wanted []string, cfg *configEntry, now time.Time) {
	e.Generation = rand.Text()
	e.Pin = accountPin{User: s.User}
	e.User = s.User
	e.ClientID, e.Authority, e.ConfiguredTenant = cfg.ClientID, cfg.authority(), cfg.TenantID
	e.Granted = strings.Fields(s.Tokens.Scope)
	e.RefreshToken, e.PreviousRefreshToken = s.Tokens.RefreshToken, ""
	e.RefreshTokenTime = s.Tokens.Obtained
	e.Tokens = map[string]*heldToken{"": newHeldToken(&s.Tokens, wanted)}
	e.Refusal, e.Refusals, e.LastError = nil, nil, nil
	e.LoginTime = now.UTC()
	e.LastReadTime = now.UTC()
	e.LastRefreshTime = s.Tokens.Obtained
}

// refreshed takes over the answer to a refresh made with the refresh token used.
// Until a rotated refresh token has worked once, the one before is kept.
func (e *accountEntry) refreshed(role string, wanted []string, used entra.Secret, t *entra.Tokens) {
	if t.RefreshToken == "" || t.RefreshToken == used {
		e.RefreshToken, e.PreviousRefreshToken = used, ""
	} else {
		e.RefreshToken, e.PreviousRefreshToken = t.RefreshToken, used
	}
	e.RefreshTokenTime = t.Obtained
	if e.Tokens == nil {
		e.Tokens = map[string]*heldToken{}
	}
	e.Tokens[role] = newHeldToken(t, wanted)
	e.Refusal = nil
	delete(e.Refusals, role)
	if role != "" && !slices.Contains(e.Roles, role) {
		e.Roles = append(slices.Clone(e.Roles), role)
	}
	e.LastError = nil
	e.LastRefreshTime = t.Obtained
}

// noteRead notes when somebody last read a token of the account.
func (e *accountEntry) noteRead(at time.Time) {
	if at.After(e.LastReadTime) {
		e.LastReadTime = at.UTC()
	}
}

// dropRoles forgets what is held for roles that are not there any more.
func (e *accountEntry) dropRoles(gone func(role string) bool) {
	e.Roles = slices.DeleteFunc(slices.Clone(e.Roles), gone)
	for role := range e.Tokens {
		if role != "" && gone(role) {
			delete(e.Tokens, role)
		}
	}
	for role := range e.Refusals {
		if role != "" && gone(role) {
			delete(e.Refusals, role)
		}
	}
}

// refused notes a refusal by Entra; the tokens stay as they are.
func (e *accountEntry) refused(role string, r *refusal) {
	e.LastError = r
	if r.endsAccount() {
		e.Refusal = r
		return
	}
	if e.Refusals == nil {
		e.Refusals = map[string]*refusal{}
	}
	e.Refusals[role] = r
}

// refusalFor is the refusal that stands against refreshing role now, nil if none.
func (e *accountEntry) refusalFor(role string, now time.Time) *refusal {
	if e.Refusal != nil {
		return e.Refusal
	}
	if r := e.Refusals[role]; r != nil && r.stands(now) {
		return r
	}
	return nil
}

// detached says why the refresh token cannot be used with cfg at all, "" if it can.
func (e *accountEntry) detached(cfg *configEntry, now time.Time) string {
	return e.status().detached(cfg, now)
}

// state is the account in one word. cfg is nil where there is no config.
func (e *accountEntry) state(cfg *configEntry, now time.Time) string {
	return e.status().state(cfg, now)
}

// wanted is the scope set of the default token. cfg is nil where there is no config.
func (e *accountEntry) wanted(cfg *configEntry) []string {
	if len(e.Scopes) > 0 || cfg == nil {
		return e.Scopes
	}
	return cfg.Scopes
}

// asks is what a refresh for wanted asks Entra for: those of the scopes that
// were granted. If none was, it asks for all, and Entra's answer says why not.
func (e *accountEntry) asks(wanted []string) []string {
	missing := entra.Missing(wanted, e.Granted)
	granted := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return slices.Contains(missing, s) })
	if len(granted) == 0 {
		return wanted
	}
	return granted
}

// livePending are the logins that still wait for their callback.
func (e *accountEntry) livePending(now time.Time) []pendingLogin {
	return slices.DeleteFunc(slices.Clone(e.PendingLogins), func(p pendingLogin) bool { return !now.Before(p.Expiry) })
}

// dropPending takes one login off the list of those that wait.
func (e *accountEntry) dropPending(stateHash string) {
	e.PendingLogins = slices.DeleteFunc(e.PendingLogins, func(p pendingLogin) bool { return p.StateHash == stateHash })
}

// pinned reports whether it is settled who may sign in.
func (e *accountEntry) pinned() bool { return e.Pin != accountPin{} }

// admits decides whether user may sign in to this account, named account.
func (e *accountEntry) admits(account string, user entra.Identity, cfg *configEntry) *fault {
	switch {
	case e.Pin.User != entra.Identity{}:
		if !e.Pin.User.Is(user) {
			return refusedUser("%s signed in, but account %q belongs to %s; delete the account to hand it over", user.Username, account, e.Pin.User.Username)
		}
	case e.Pin.Username != "" && !strings.EqualFold(e.Pin.Username, user.PreferredUsername):
		return refusedUser("%s signed in, but account %q is pinned to username %s", user.Username, account, e.Pin.Username)
	case e.Pin.ObjectID != "" && !strings.EqualFold(e.Pin.ObjectID, user.ObjectID):
		return refusedUser("%s signed in, but account %q is pinned to object_id %s", user.Username, account, e.Pin.ObjectID)
	case e.Pin.Username != "" || e.Pin.ObjectID != "":
	case cfg.AccountBinding == bindPinned:
		return refusedUser("account %q is not pinned and account_binding is pinned: an operator pins it first", account)
	case cfg.AccountBinding == bindUsername && !strings.EqualFold(account, user.PreferredUsername):
		return refusedUser("%s signed in, but account_binding is username: only the user %s may sign in to account %q", user.Username, account, account)
	case cfg.AccountBinding == bindObjectID && !strings.EqualFold(account, user.ObjectID):
		return refusedUser("%s signed in, but account_binding is object_id: only the user with object_id %s may sign in to account %q", user.Username, account, account)
	}
	return nil
}

// objectID is the user's oid, or sub where the provider has none.
func (e *accountEntry) objectID() string {
	if e.User.ObjectID != "" {
		return e.User.ObjectID
	}
	return e.User.Subject
}

// tenantID is the user's tid, or the one the account signed in at where the
// provider has none.
func (e *accountEntry) tenantID() string {
	if e.User.TenantID != "" {
		return e.User.TenantID
	}
	return e.ConfiguredTenant
}

// idleExpiry is when inactivity would end the refresh token.
func (e *accountEntry) idleExpiry() time.Time {
	if !e.signedIn() {
		return time.Time{}
	}
	return e.RefreshTokenTime.Add(inactivityLimit)
}

// clone copies the entry as deep as transitions change it.
func (e *accountEntry) clone() *accountEntry {
	c := *e
	c.Tokens = maps.Clone(e.Tokens)
	c.Refusals = maps.Clone(e.Refusals)
	c.Metadata = maps.Clone(e.Metadata)
	c.PendingLogins = slices.Clone(e.PendingLogins)
	if e.LatestLogin != nil {
		login := *e.LatestLogin
		c.LatestLogin = &login
	}
	return &c
}

func newHeldToken(t *entra.Tokens, wanted []string) *heldToken {
	return &heldToken{
		AccessToken: t.AccessToken,
		TokenType:   t.TokenType,
		Scope:       t.Scope,
		Wanted:      wanted,
		ObtainedAt:  t.Obtained,
		Expiry:      t.Expiry,
	}
}

// life is the token's whole lifetime.
func (t *heldToken) life() time.Duration { return t.Expiry.Sub(t.ObtainedAt) }

// margin is how long before its expiry the token is replaced: refreshMargin, or
// half its life where that is shorter than twice the margin.
func (t *heldToken) margin(refreshMargin time.Duration) time.Duration {
	return min(refreshMargin, t.life()/2)
}

// renewAt is the moment from which a reader who asks for minTTL is not served
// this token any more. minTTL counts up to half of the token's life.
func (t *heldToken) renewAt(refreshMargin, minTTL time.Duration) time.Time {
	return t.Expiry.Add(-max(t.margin(refreshMargin), min(minTTL, t.life()/2), minServedLife))
}

// fresh reports whether the token may be served without a second thought. One
// that claims to have been obtained in the future was obtained before a clock
// was set back, and may be expired.
func (t *heldToken) fresh(now time.Time, refreshMargin, minTTL time.Duration) bool {
	return now.Before(t.renewAt(refreshMargin, minTTL)) && !t.ObtainedAt.After(now.Add(clockSkew))
}

// usable reports whether the token has enough life left to be served at all.
func (t *heldToken) usable(now time.Time) bool {
	return t.Expiry.Sub(now) >= minServedLife
}

// clockSkew is how far two readings of the clock may disagree without meaning.
const clockSkew = 5 * time.Second
