// SPDX-License-Identifier: MPL-2.0

// Package account keeps the accounts of a mount: one signed-in user each, with the
// tokens kept for that user and the logins that are pending.
package account

import (
	"crypto/rand"
	"maps"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

// StoragePrefix is where the accounts are stored, by name.
const StoragePrefix = "account/"

// inactivityLimit is Entra's: a refresh token unused this long is refused
// (refresh-tokens, "Token lifetime").
const inactivityLimit = 90 * 24 * time.Hour

const (
	// MaxRoles is how many roles one account can have: its tokens are in one storage entry.
	MaxRoles = 64

	// maxRoleTokens is how many bytes the tokens of all roles of an account have together. One
	// storage entry has 512 KiB at most with Consul, and 1 MiB with Raft (Vault's documentation,
	// "Limits and maximums").
	maxRoleTokens = 384 << 10
)

// Entry is one account: who signed in, and the tokens kept for that user. An entry
// that has been read is never changed in place: transitions work on a copy of their
// own, see Store.Update.
type Entry struct {
	store.UnknownFields

	Version     int       `json:"version"`
	CreatedTime time.Time `json:"created_time"`

	// Incarnation is this account's, and no other's that had or will have its name.
	// "" is that of accounts which an older version created.
	Incarnation string `json:"incarnation"`

	// Generation changes only when the refresh token's origin changes: a
	// sign-in, an import, a new entry after a delete. A refresh that began
	// under another generation has nothing to say any more.
	Generation string `json:"generation"`

	Pin              Pin            `json:"pin"`
	User             entra.Identity `json:"user"`
	ClientID         string         `json:"client_id"` // that the refresh token belongs to
	Authority        string         `json:"authority"` // at this authority
	ConfiguredTenant string         `json:"configured_tenant"`
	ClientAuth       string         `json:"client_auth"` // how the sign-in was made
	Scopes           []string       `json:"scopes"`      // of the default token, if named
	Granted          []string       `json:"granted"`     // by the last sign-in

	// Roles are those consented to: by a login that named them, or a token that
	// Entra gave.
	Roles []string `json:"roles"`

	// PreviousRefreshToken is the one before, until RefreshToken has worked once.
	RefreshToken         entra.Secret `json:"refresh_token"`
	PreviousRefreshToken entra.Secret `json:"previous_refresh_token"`
	RefreshTokenTime     time.Time    `json:"refresh_token_time"` // it was obtained or last worked

	Tokens      map[string]*CachedToken  `json:"tokens"`   // by role; "" is the default token
	Error       *RefreshError            `json:"refusal"`  // ends the account until a sign-in
	TokenErrors map[string]*RefreshError `json:"refusals"` // by role, "" likewise

	LoginTime        time.Time      `json:"login_time"`
	LoginRequestedBy string         `json:"login_requested_by"`
	LastRefreshTime  time.Time      `json:"last_refresh_time"`
	LastReadTime     time.Time      `json:"last_read_time"` // as noted at refreshes
	LastError        *RefreshError  `json:"last_error"`
	LatestLogin      *LoginOutcome  `json:"latest_login"`
	PendingLogins    []PendingLogin `json:"pending_logins"` // oldest first

	Metadata map[string]string `json:"metadata"`
	Disabled bool              `json:"disabled"`
}

// How a sign-in authenticated the client. A refresh token keeps that nature: it wants the
// credential at every refresh, or refuses it. "" is of accounts that an older version stored.
const (
	WithCredential    = "credential"
	WithoutCredential = "none"
)

// Pin says whose account this is. A sign-in sets it whole; an operator can set
// Username or ObjectID before the first one.
type Pin struct {
	User     entra.Identity `json:"user"`
	Username string         `json:"username"`
	ObjectID string         `json:"object_id"`
}

// NewEntry is an account that nobody has signed in to.
func NewEntry(now time.Time) *Entry {
	return &Entry{
		Version:     store.SchemaVersion,
		CreatedTime: now.UTC(),
		Incarnation: rand.Text(),
		Generation:  rand.Text(),
	}
}

// SignedIn reports whether there is a credential at all.
func (e *Entry) SignedIn() bool { return e.RefreshToken != "" }

// SignIn takes over what a sign-in (login, device code, import) was given. It
// ends every error; the generation is its caller's to begin.
func (e *Entry) SignIn(s *entra.SignIn, scopes []string, cfg *config.Entry, clientAuth string, now time.Time) {
	e.Pin = Pin{User: s.User}
	e.User = s.User
	e.ClientID, e.Authority, e.ConfiguredTenant = cfg.ClientID, cfg.Authority(), cfg.TenantID
	e.ClientAuth = clientAuth
	e.Granted = strings.Fields(s.Tokens.Scope)
	e.RefreshToken, e.PreviousRefreshToken = s.Tokens.RefreshToken, ""
	e.RefreshTokenTime = s.Tokens.Obtained
	e.Tokens = map[string]*CachedToken{"": newCachedToken(&s.Tokens, scopes)}
	e.Error, e.TokenErrors, e.LastError = nil, nil, nil
	e.LoginTime = now.UTC()
	e.LastReadTime = now.UTC()
	e.LastRefreshTime = s.Tokens.Obtained
}

// Refreshed takes over the answer to a refresh, made with the refresh token used while the entry
// had the refresh token current. Until a rotated refresh token has worked once, the one before
// is kept. An answer that comes after another refresh, made by another node, replaces nothing.
func (e *Entry) Refreshed(role string, scopes []string, current, used entra.Secret, t *entra.Tokens) {
	next, previous := t.RefreshToken, used
	if next == "" || next == used {
		next, previous = used, ""
	}
	late := e.RefreshToken != current && e.RefreshToken != next
	token := newCachedToken(t, scopes)
	if e.Tokens == nil {
		e.Tokens = map[string]*CachedToken{}
	}
	if cached := e.Tokens[role]; !late || cached == nil || cached.Expiry.Before(token.Expiry) {
		e.Tokens[role] = token
	}
	if role != "" && !slices.Contains(e.Roles, role) {
		e.Roles = append(slices.Clone(e.Roles), role)
	}
	if late {
		return
	}
	e.RefreshToken, e.PreviousRefreshToken = next, previous
	e.RefreshTokenTime = t.Obtained
	e.Error, e.LastError = nil, nil
	delete(e.TokenErrors, role)
	e.LastRefreshTime = t.Obtained
}

// NoteRead notes when somebody last read a token of the account.
func (e *Entry) NoteRead(at time.Time) {
	if at.After(e.LastReadTime) {
		e.LastReadTime = at.UTC()
	}
}

// prune forgets what is kept for roles that are not there any more, and the roles'
// tokens and blocks that are over: an entry must not grow without bound.
func (e *Entry) prune(gone func(role string) bool, now time.Time) {
	e.Roles = slices.DeleteFunc(slices.Clone(e.Roles), gone)
	for role, t := range e.Tokens {
		if role != "" && (t == nil || gone(role) || !now.Before(t.Expiry) || t.FromTheFuture(now)) {
			delete(e.Tokens, role)
		}
	}
	for role, r := range e.TokenErrors {
		if role != "" && (r == nil || gone(role) || !r.Stands(now)) {
			delete(e.TokenErrors, role)
		}
	}
	e.bound()
}

// bound keeps the entry smaller than what storage takes: it must be possible to disable it. It
// drops the oldest of the roles' tokens and of the refusals; both can be had again.
func (e *Entry) bound() {
	size := 0
	roles := slices.DeleteFunc(slices.Collect(maps.Keys(e.Tokens)), func(role string) bool { return role == "" })
	slices.SortFunc(roles, func(a, b string) int { return e.Tokens[b].ObtainedAt.Compare(e.Tokens[a].ObtainedAt) })
	for _, role := range roles {
		if size += len(e.Tokens[role].AccessToken); size > maxRoleTokens {
			delete(e.Tokens, role)
		}
	}
	for len(e.TokenErrors) > MaxRoles {
		oldest := ""
		for role, r := range e.TokenErrors {
			if role != "" && (oldest == "" || r.Time.Before(e.TokenErrors[oldest].Time)) {
				oldest = role
			}
		}
		delete(e.TokenErrors, oldest)
	}
}

// CheckRole refuses a role that is new to an account which has as many as it may.
func (e *Entry) CheckRole(name, role string) error {
	if role == "" || len(e.Roles) < MaxRoles || slices.Contains(e.Roles, role) {
		return nil
	}
	return problem.Invalid("role: account %q has tokens for %d roles already, which is the limit; "+
		"delete roles that nobody needs, or use another account", name, MaxRoles)
}

// Refused notes a refusal by Entra; the tokens stay as they are.
func (e *Entry) Refused(role string, r *RefreshError) {
	e.LastError = r
	if r.EndsAccount() {
		e.Error = r
		return
	}
	if e.TokenErrors == nil {
		e.TokenErrors = map[string]*RefreshError{}
	}
	e.TokenErrors[role] = r
}

// ErrorFor is the refusal that stands against refreshing role for these scopes now, nil
// if none.
func (e *Entry) ErrorFor(role string, scopes []string, now time.Time) *RefreshError {
	if e.Error != nil {
		return e.Error
	}
	if r := e.TokenErrors[role]; r != nil && r.Stands(now) && r.IsFor(scopes) {
		return r
	}
	return nil
}

// Mismatch says why the refresh token cannot be used with cfg at all, "" if it can.
func (e *Entry) Mismatch(cfg *config.Entry, now time.Time) string {
	return e.Status().mismatch(cfg, now)
}

// State is the account in one word. cfg is nil where there is no config.
func (e *Entry) State(cfg *config.Entry, now time.Time) string {
	return e.Status().state(cfg, now)
}

// EffectiveScopes are those of the default token. cfg is nil where there is no config.
func (e *Entry) EffectiveScopes(cfg *config.Entry) []string {
	if len(e.Scopes) > 0 || cfg == nil {
		return e.Scopes
	}
	return cfg.Scopes
}

// RequestedScopes are what a refresh of the default token asks for: those of the scopes that
// were granted. If none was, Entra is asked for all and its answer says why not; another
// provider is asked for none, which is what the grant gives (RFC 6749 section 6).
func (e *Entry) RequestedScopes(scopes []string, cfg *config.Entry) []string {
	missing := entra.Missing(scopes, e.Granted)
	granted := slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		return slices.Contains(missing, s)
	})
	switch {
	case len(granted) > 0:
		return granted
	case cfg.AuthorityURL != "":
		return nil
	}
	return scopes
}

// KeepaliveAt is when the refresh token is used so that it does not end of
// inactivity, within the last tenth of the interval; zero if it is left alone.
// lastRead is what is known of the account's readers. jitter is 0 to 1. A time from a clock that
// was ahead says nothing: it is used at once.
func (e *Entry) KeepaliveAt(cfg *config.Entry, lastRead time.Time, jitter float64, now time.Time) time.Time {
	if cfg.KeepaliveInterval == 0 || !e.SignedIn() {
		return time.Time{}
	}
	early := time.Duration(jitter * float64(cfg.KeepaliveInterval/10))
	at := e.RefreshTokenTime.Add(cfg.KeepaliveInterval - early)
	if e.RefreshTokenTime.After(now.Add(ClockSkew)) {
		at = now
	}
	if cfg.KeepaliveMax > 0 && at.After(lastRead.Add(cfg.KeepaliveMax)) {
		return time.Time{}
	}
	return at
}

// Pinned reports whether it is settled who may sign in.
func (e *Entry) Pinned() bool { return e.Pin != Pin{} }

// PinnedUsername is the username that is expected to sign in, if that is known.
func (e *Entry) PinnedUsername() string {
	if e.Pin.User.PreferredUsername != "" {
		return e.Pin.User.PreferredUsername
	}
	return e.Pin.Username
}

// CheckUser decides whether user may sign in to this account, named name.
func (e *Entry) CheckUser(name string, user entra.Identity, cfg *config.Entry) *problem.Error {
	pin, refuse := e.Pin, problem.RefusedUser
	switch {
	case pin.User != entra.Identity{}:
		if !pin.User.Is(user) {
			return refuse("%s signed in, but account %q belongs to %s; delete the account to hand it over",
				user.Username, name, pin.User.Username)
		}
	case pin.Username != "" && !strings.EqualFold(pin.Username, user.PreferredUsername):
		return refuse("%s signed in, but account %q is pinned to username %s",
			user.Username, name, pin.Username)
	case pin.ObjectID != "" && !strings.EqualFold(pin.ObjectID, user.ObjectID):
		return refuse("%s signed in, but account %q is pinned to object_id %s",
			user.Username, name, pin.ObjectID)
	case pin.Username != "" || pin.ObjectID != "":
	case cfg.AccountBinding == config.BindPinned:
		return refuse("account %q is not pinned and account_binding is pinned: "+
			"an operator pins it first", name)
	case cfg.AccountBinding == config.BindUsername && !strings.EqualFold(name, user.PreferredUsername):
		return refuse("%s signed in, but account_binding is username: only the user %s may sign in "+
			"to account %q", user.Username, name, name)
	case cfg.AccountBinding == config.BindUsername && user.IsGuest():
		return refuse("%s signed in, but account_binding is username, and a guest's name is another "+
			"directory's: an operator pins account %q to an object_id", user.Username, name)
	case cfg.AccountBinding == config.BindObjectID && !strings.EqualFold(name, user.ObjectID):
		return refuse("%s signed in, but account_binding is object_id: only the user with object_id "+
			"%s may sign in to account %q", user.Username, name, name)
	}
	return nil
}

// ObjectID is the user's oid, or sub where the provider has none.
func (e *Entry) ObjectID() string {
	if e.User.ObjectID != "" {
		return e.User.ObjectID
	}
	return e.User.Subject
}

// TenantID is the user's tid, or the one the account signed in at where the
// provider has none.
func (e *Entry) TenantID() string {
	if e.User.TenantID != "" {
		return e.User.TenantID
	}
	return e.ConfiguredTenant
}

// Challenge is the claims challenge that stands against the account, "" for none: only a
// sign-in that sends it satisfies it. A sign-in ends it.
func (e *Entry) Challenge() string {
	var latest *RefreshError
	for _, r := range e.TokenErrors {
		if r.Claims != "" && (latest == nil || r.Time.After(latest.Time)) {
			latest = r
		}
	}
	switch {
	case e.Error != nil && e.Error.Claims != "":
		return e.Error.Claims
	case latest != nil:
		return latest.Claims
	case e.LatestLogin != nil:
		return e.LatestLogin.Claims
	}
	return ""
}

// IdleExpiry is when inactivity would end the refresh token.
func (e *Entry) IdleExpiry() time.Time {
	if !e.SignedIn() {
		return time.Time{}
	}
	return e.RefreshTokenTime.Add(inactivityLimit)
}

// clone copies the entry as deep as transitions change it.
func (e *Entry) clone() *Entry {
	c := *e
	c.Tokens = maps.Clone(e.Tokens)
	c.TokenErrors = maps.Clone(e.TokenErrors)
	c.Metadata = maps.Clone(e.Metadata)
	c.PendingLogins = slices.Clone(e.PendingLogins)
	if e.LatestLogin != nil {
		login := *e.LatestLogin
		c.LatestLogin = &login
	}
	return &c
}
