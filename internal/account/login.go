// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

const (
	// LoginStoragePrefix is where the pending logins are stored, by the hash of
	// their state: storage keys are not encrypted.
	LoginStoragePrefix = "login/"

	// maxPendingLogins per account; one more evicts the oldest.
	maxPendingLogins = 20
)

// The statuses of a login.
const (
	LoginPending   = "pending"
	LoginSucceeded = "succeeded"
	LoginFailed    = "failed"
	LoginExpired   = "expired"
)

// Login is one attempt to sign in, from authorization URL to callback. It is
// deleted before its code is redeemed.
type Login struct {
	store.UnknownFields

	Version     int           `json:"version"`
	Account     string        `json:"account"`
	LoginID     string        `json:"login_id"`
	RedirectURI string        `json:"redirect_uri"`
	Scopes      []string      `json:"scopes"`      // of the default token
	KeptScopes  []string      `json:"kept_scopes"` // by the account; none if the config's
	Roles       []string      `json:"roles"`       // consented to beside that
	Consent     []string      `json:"consent"`     // all that the person is asked for
	Verifier    entra.Secret  `json:"verifier"`
	Nonce       entra.Secret  `json:"nonce"`
	Claims      string        `json:"claims"`
	DeviceCode  entra.Secret  `json:"device_code"` // of a device code sign-in
	Interval    time.Duration `json:"interval"`    // between its polls
	RequestedBy Requester     `json:"requested_by"`
	ClientID    string        `json:"client_id"`
	Authority   string        `json:"authority"`
	CreatedTime time.Time     `json:"created_time"`
	Expiry      time.Time     `json:"expiry"`
	Incarnation string        `json:"incarnation"` // of the account that it is for
	ClientAuth  string        `json:"client_auth"` // how it authenticates the client

	hash string // of its state, and its name in storage
}

// Requester is who asked for a login, as Vault knows them.
type Requester struct {
	Entity      string    `json:"entity"`       // the identity entity's name
	Aliases     []string  `json:"aliases"`      // and those of its aliases
	DisplayName string    `json:"display_name"` // the token's, chosen by the requester
	Address     string    `json:"address"`
	Time        time.Time `json:"time"`
}

// LoginOutcome is what became of an account's latest login.
type LoginOutcome struct {
	LoginID     string       `json:"login_id"`
	StateHash   string       `json:"state_hash"`
	Status      string       `json:"status"`
	Code        problem.Code `json:"word"` // of the problem that ended it
	Message     string       `json:"message"`
	EntraCode   string       `json:"code"`
	Username    string       `json:"username"`
	Time        time.Time    `json:"time"` // when it ended
	RequestedBy string       `json:"requested_by"`
	Expiry      time.Time    `json:"expiry"`
	Claims      string       `json:"claims"` // that Entra challenged the sign-in with
}

// PendingLogin is a login that is waiting for its callback.
type PendingLogin struct {
	StateHash string    `json:"state_hash"`
	Expiry    time.Time `json:"expiry"`
}

// NewLogin is a login that begins now, however the person will sign in. state is
// what Entra gives back; it is stored nowhere.
func NewLogin(account string, by Requester, cfg *config.Entry, now time.Time) (login *Login, state string) {
	state = entra.NewRandom()
	return &Login{
		Version:     store.SchemaVersion,
		Account:     account,
		LoginID:     entra.NewRandom()[:16],
		RequestedBy: by,
		ClientID:    cfg.ClientID,
		Authority:   cfg.Authority(),
		ClientAuth:  clientAuthOf(cfg),
		CreatedTime: now.UTC(),
		Expiry:      now.UTC().Add(cfg.LoginTTL),
		hash:        stateHash(state),
	}, state
}

// clientAuthOf is how a sign-in under cfg authenticates the client, unless it is of a kind
// that wants no credential.
func clientAuthOf(cfg *config.Entry) string {
	if cfg.ClientAuth() == "none" {
		return WithoutCredential
	}
	return WithCredential
}

// Client is the one to redeem and refresh with that was authenticated so at the sign-in.
func Client(reg *config.Registration, clientAuth string) *entra.Client {
	if clientAuth == WithoutCredential {
		return reg.Client.WithoutCredential()
	}
	return reg.Client
}

// Expired answers a login that is finished too late, nil if it is in time.
func (l *Login) Expired(now time.Time) *problem.Error {
	if now.Before(l.Expiry) {
		return nil
	}
	expiry := l.Expiry.UTC().Format(time.RFC3339)
	p := problem.FailedLogin("the login for account %q expired at %s", l.Account, expiry)
	p.Detail = problem.Expired
	p.Command = problem.LoginCommand(l.Account)
	return p
}

// Mismatch says that the config has changed under a login, nil if it has not.
func (l *Login) Mismatch(cfg *config.Entry) *problem.Error {
	if l.ClientID == cfg.ClientID && l.Authority == cfg.Authority() {
		return nil
	}
	p := problem.FailedLogin("the config has changed since the login for account %q began", l.Account)
	p.Command = problem.LoginCommand(l.Account)
	return p
}

// BeginLogin notes a new pending login and returns the hashes of those that make
// room for it: the expired ones and, at the limit, the oldest.
func (e *Entry) BeginLogin(login *Login, now time.Time) (evicted []string) {
	live := slices.DeleteFunc(slices.Clone(e.PendingLogins), func(p PendingLogin) bool {
		return !now.Before(p.Expiry)
	})
	live = live[max(0, len(live)-maxPendingLogins+1):]
	for _, p := range e.PendingLogins {
		if !slices.Contains(live, p) {
			evicted = append(evicted, p.StateHash)
		}
	}
	e.PendingLogins = append(live, PendingLogin{StateHash: login.hash, Expiry: login.Expiry})
	e.LatestLogin = &LoginOutcome{
		LoginID:     login.LoginID,
		StateHash:   login.hash,
		Status:      LoginPending,
		RequestedBy: login.RequestedBy.String(),
		Expiry:      login.Expiry,
	}
	return evicted
}

// Awaits reports whether the login is one that this account waits for: of this account
// and no earlier one of its name, and not evicted.
func (e *Entry) Awaits(login *Login) bool {
	return e.Incarnation == login.Incarnation &&
		slices.ContainsFunc(e.PendingLogins, func(p PendingLogin) bool { return p.StateHash == login.hash })
}

// DropPending takes one login off the list of those that wait.
func (e *Entry) DropPending(login *Login) {
	e.PendingLogins = slices.DeleteFunc(e.PendingLogins, func(p PendingLogin) bool {
		return p.StateHash == login.hash
	})
}

// EndLogin notes what became of a login, if it is still the latest one.
func (e *Entry) EndLogin(login *Login, outcome LoginOutcome, now time.Time) {
	e.DropPending(login)
	if e.LatestLogin == nil || e.LatestLogin.StateHash != login.hash {
		return
	}
	latest := *e.LatestLogin
	latest.Status, latest.Code = outcome.Status, outcome.Code
	latest.Message, latest.EntraCode = outcome.Message, outcome.EntraCode
	latest.Username, latest.Claims = outcome.Username, outcome.Claims
	latest.Time = now.UTC()
	e.LatestLogin = &latest
}

// UnknownState answers a state that no login waits for. It shows nothing of the
// request.
func UnknownState() *problem.Error {
	p := problem.FailedLogin("unknown state: the login was used already, " +
		"was replaced by newer ones, or never began here")
	p.Detail = problem.UnknownState
	return p
}

// UsedState answers a state that is not pending any more with what became of it. e
// is nil where the account is gone.
func (e *Entry) UsedState(account, state string, now time.Time) *problem.Error {
	return e.usedLogin(account, stateHash(state), now)
}

// UsedLogin is UsedState for a login that was pending a moment ago.
func (e *Entry) UsedLogin(login *Login, now time.Time) *problem.Error {
	return e.usedLogin(login.Account, login.hash, now)
}

func (e *Entry) usedLogin(account, hash string, now time.Time) *problem.Error {
	p := UnknownState()
	p.Command = problem.LoginCommand(account)
	if e == nil || e.LatestLogin == nil || e.LatestLogin.StateHash != hash {
		return p
	}
	p.Detail = ""
	switch login := e.LatestLogin; {
	case login.Status == LoginSucceeded:
		at := login.Time.UTC().Format(time.RFC3339)
		p.Text = fmt.Sprintf("already used: signed in as %s at %s", login.Username, at)
		p.Command = ""
	case login.Code == problem.EntraUnavailable || login.Code == problem.ClientRejected:
		p.Code, p.Text = login.Code, login.Message
	case login.Status == LoginFailed:
		p.Text = "already used: " + login.Message
	case now.Before(login.Expiry):
		p.Text = "already used: its code is being redeemed"
		p.Command = "vault read {mount}login/" + account
	}
	return p
}

// StatusAt is the login's status: a pending one whose time is up has expired.
func (o *LoginOutcome) StatusAt(now time.Time) string {
	if o.Status == LoginPending && !now.Before(o.Expiry) {
		return LoginExpired
	}
	return o.Status
}

// ErrorText says why the login failed, "" if it did not.
func (o *LoginOutcome) ErrorText() string {
	if o.Message == "" {
		return ""
	}
	return string(o.Code) + ": " + o.Message
}

// String names the requester: by the entity where Vault has one, else by the
// token's display name, which the requester may have chosen.
func (r Requester) String() string {
	var who string
	switch {
	case r.Entity != "" && len(r.Aliases) > 0:
		who = fmt.Sprintf("%s (%s)", r.Entity, strings.Join(r.Aliases, ", "))
	case r.Entity != "":
		who = r.Entity
	case r.DisplayName != "":
		who = fmt.Sprintf("%q (a name chosen by the requester)", r.DisplayName)
	default:
		who = "unknown"
	}
	if r.Address != "" {
		who += " from " + r.Address
	}
	return who
}

// stateHash names a login in storage without giving away its state.
func stateHash(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// Hash names the login in storage and in memory.
func (l *Login) Hash() string { return l.hash }

// Logins keeps the pending logins of a mount.
type Logins struct{ entries *store.Entries }

// NewLogins returns the pending logins among a mount's entries.
func NewLogins(entries *store.Entries) *Logins { return &Logins{entries: entries} }

// Find reads the login that was given state, nil if there is none.
func (l *Logins) Find(ctx context.Context, state string) (*Login, error) {
	return l.Get(ctx, stateHash(state))
}

// Get reads a login by its hash, nil if there is none.
func (l *Logins) Get(ctx context.Context, hash string) (*Login, error) {
	login := &Login{}
	found, err := l.entries.Read(ctx, LoginStoragePrefix+hash, login)
	if err != nil || !found {
		return nil, err
	}
	login.hash = hash
	return login, nil
}

// Write stores a login.
func (l *Logins) Write(ctx context.Context, login *Login) error {
	return l.entries.Write(ctx, LoginStoragePrefix+login.hash, login)
}

// Delete removes a login, which may be absent. Its key does not belong in an error.
func (l *Logins) Delete(ctx context.Context, hash string) error {
	if err := l.entries.Delete(ctx, LoginStoragePrefix+hash); err != nil {
		return fmt.Errorf("delete login: %w", err)
	}
	return nil
}

// List returns the hashes of all logins.
func (l *Logins) List(ctx context.Context) ([]string, error) {
	return l.entries.List(ctx, LoginStoragePrefix)
}
