// SPDX-License-Identifier: MPL-2.0

package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
	"unique"

	"vault-plugin-secrets-entra/internal/entra"
)

// The states of an account.
const (
	stateActive        = "active"
	stateLoginRequired = "login_required"
	stateAccessDenied  = "access_denied"
	stateLoginPending  = "login_pending"
	stateDisabled      = "disabled"
)

// accountStatus is what a list shows of an account, and what that follows from.
// It is kept in memory for every account, so it is small.
type accountStatus struct {
	username     string
	clientID     string // shared between the accounts that have the same
	authority    string // likewise
	signedIn     bool
	disabled     bool
	loginTime    time.Time
	pendingUntil time.Time // of the last login that waits
	tokenExpiry  time.Time
	refusal      *refusal // that stands against the default token, nil for nearly all
}

// status takes from the entry what a list needs.
func (e *accountEntry) status() accountStatus {
	s := accountStatus{
		username:  e.User.Username,
		clientID:  unique.Make(e.ClientID).Value(),
		authority: unique.Make(e.Authority).Value(),
		signedIn:  e.signedIn(),
		disabled:  e.Disabled,
		loginTime: e.LoginTime,
		refusal:   e.Refusal,
	}
	if s.refusal == nil {
		s.refusal = e.Refusals[""]
	}
	for _, p := range e.PendingLogins {
		if p.Expiry.After(s.pendingUntil) {
			s.pendingUntil = p.Expiry
		}
	}
	if t := e.Tokens[""]; t != nil {
		s.tokenExpiry = t.Expiry
	}
	return s
}

// state is the account in one word. cfg is nil where there is no config.
func (s accountStatus) state(cfg *configEntry, now time.Time) string {
	switch {
	case s.disabled:
		return stateDisabled
	case !s.signedIn && s.pendingUntil.After(now):
		return stateLoginPending
	case !s.signedIn, cfg != nil && s.detached(cfg, now) != "":
		return stateLoginRequired
	case s.refusal == nil || !s.refusal.stands(now):
		return stateActive
	case s.refusal.Class == entra.ClassBlocked:
		return stateAccessDenied
	case s.refusal.word() == loginRequired:
		return stateLoginRequired
	}
	return stateActive
}

// detached says why the refresh token cannot be used with cfg at all: worked out
// at each read and not stored, so that changing the config back makes it work.
func (s accountStatus) detached(cfg *configEntry, now time.Time) string {
	switch {
	case !s.signedIn:
		return "it has never signed in"
	case s.clientID != cfg.ClientID:
		return fmt.Sprintf("it signed in to client_id %s, the config now names %s", s.clientID, cfg.ClientID)
	case s.authority != cfg.authority():
		return fmt.Sprintf("it signed in at %s, the config now names %s", s.authority, cfg.authority())
	case cfg.LoginMaxAge > 0 && now.After(s.loginTime.Add(cfg.LoginMaxAge)):
		return fmt.Sprintf("its sign-in is older than login_max_age (%s)", cfg.LoginMaxAge)
	}
	return ""
}

// accountIndex knows every account of the mount, once it is complete.
type accountIndex struct {
	mu       sync.RWMutex // guards the fields below
	byName   map[string]accountStatus
	complete bool
	touched  map[string]bool // while it is built: newer than what the build reads; nil otherwise
}

func newAccountIndex() *accountIndex {
	return &accountIndex{byName: map[string]accountStatus{}}
}

// set notes the account as it was just written.
func (x *accountIndex) set(name string, s accountStatus) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byName[name] = s
	if x.touched != nil {
		x.touched[name] = true
	}
}

func (x *accountIndex) remove(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byName, name)
	if x.touched != nil {
		x.touched[name] = true
	}
}

// beginBuild starts over; what is written meanwhile counts more than what is found.
func (x *accountIndex) beginBuild() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.touched = map[string]bool{}
}

// found notes an account as a build read it, and reports whether that was news.
func (x *accountIndex) found(name string, s accountStatus) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.touched[name] {
		return false
	}
	x.byName[name] = s
	return true
}

func (x *accountIndex) endBuild(complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.touched = nil
	x.complete = x.complete || complete
}

// forget drops everything: other nodes write while this one may not.
func (x *accountIndex) forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byName, x.complete, x.touched = map[string]accountStatus{}, false, nil
}

// names returns all names in order, if the index is complete.
func (x *accountIndex) names() (names []string, complete bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.complete {
		return nil, false
	}
	names = make([]string, 0, len(x.byName))
	for name := range x.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, true
}

// keyInfo is what a list says of each of the names that the index knows.
func (x *accountIndex) keyInfo(names []string, cfg *configEntry, now time.Time) map[string]any {
	x.mu.RLock()
	defer x.mu.RUnlock()
	info := make(map[string]any, len(names))
	for _, name := range names {
		s, known := x.byName[name]
		if !known {
			continue
		}
		info[name] = map[string]any{
			"state":       s.state(cfg, now),
			"username":    s.username,
			"expire_time": formatTime(s.tokenExpiry),
		}
	}
	return info
}
