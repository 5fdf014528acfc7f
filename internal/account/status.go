// SPDX-License-Identifier: MPL-2.0

package account

import (
	"fmt"
	"time"
	"unique"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// The states of an account.
const (
	StateActive        = "active"
	StateLoginRequired = "login_required"
	StateAccessDenied  = "access_denied"
	StateLoginPending  = "login_pending"
	StateDisabled      = "disabled"
	StateUnreadable    = "unreadable" // in a list: its entry cannot be decoded
)

// Status is what a list shows of an account, and what that follows from. It is kept
// in memory for every account, so it is small.
type Status struct {
	Username     string
	TokenExpiry  time.Time
	Error        *RefreshError // that stands against the default token, nil for nearly all
	clientID     string        // shared between the accounts that have the same
	authority    string        // likewise
	clientAuth   string
	unreadable   bool
	signedIn     bool
	disabled     bool
	loginTime    time.Time
	pendingUntil time.Time // of the last login that waits
}

// Status takes from the entry what a list needs.
func (e *Entry) Status() Status {
	s := Status{
		Username:   e.User.Username,
		Error:      e.Error,
		clientID:   unique.Make(e.ClientID).Value(),
		authority:  unique.Make(e.Authority).Value(),
		clientAuth: e.ClientAuth,
		signedIn:   e.SignedIn(),
		disabled:   e.Disabled,
		loginTime:  e.LoginTime,
	}
	if s.Error == nil {
		s.Error = e.TokenErrors[""]
	}
	for _, p := range e.PendingLogins {
		if p.Expiry.After(s.pendingUntil) {
			s.pendingUntil = p.Expiry
		}
	}
	if t := e.Tokens[""]; t != nil {
		s.TokenExpiry = t.Expiry
	}
	return s
}

// state is the account in one word. cfg is nil where there is no config.
func (s Status) state(cfg *config.Entry, now time.Time) string {
	switch {
	case s.unreadable:
		return StateUnreadable
	case s.disabled:
		return StateDisabled
	case !s.signedIn && s.pendingUntil.After(now):
		return StateLoginPending
	case !s.signedIn, cfg != nil && s.mismatch(cfg, now) != "":
		return StateLoginRequired
	case s.Error == nil || !s.Error.Stands(now):
		return StateActive
	case s.Error.Class == entra.ClassBlocked:
		return StateAccessDenied
	case s.Error.ProblemCode() == problem.LoginRequired:
		return StateLoginRequired
	}
	return StateActive
}

// mismatch says why the refresh token cannot be used with cfg at all: worked out at
// each read and not stored, so that changing the config back makes it work.
func (s Status) mismatch(cfg *config.Entry, now time.Time) string {
	switch {
	case !s.signedIn:
		return "it has never signed in"
	case s.clientID != cfg.ClientID:
		return fmt.Sprintf("it signed in to client_id %s, the config now names %s",
			s.clientID, cfg.ClientID)
	case s.authority != cfg.Authority():
		return fmt.Sprintf("it signed in at %s, the config now names %s",
			s.authority, cfg.Authority())
	case s.clientAuth == WithCredential && cfg.ClientAuth() == "none":
		return "its sign-in was made with this mount's credential, and the config now has none"
	case cfg.LoginMaxAge > 0 && now.After(s.loginTime.Add(cfg.LoginMaxAge)):
		return fmt.Sprintf("its sign-in is older than login_max_age (%s)", cfg.LoginMaxAge)
	}
	return ""
}
