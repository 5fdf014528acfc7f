// SPDX-License-Identifier: MPL-2.0

package main

import (
	"slices"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

// testEntry is a signed-in account, an hour old, with changes.
func testEntry(now time.Time, change func(*accountEntry)) *accountEntry {
	cfg := newConfigEntry()
	cfg.ClientID, cfg.TenantID = "app", "tenant"
	e := newAccountEntry(now)
	e.signIn(&entra.SignIn{
		User: entra.Identity{Issuer: "iss", Subject: "sub", TenantID: "tid", ObjectID: "oid", Username: "alice", PreferredUsername: "alice"},
		Tokens: entra.Tokens{
			AccessToken: "access", TokenType: "Bearer", RefreshToken: "first", Scope: "User.Read",
			Obtained: now.Add(-time.Hour), Expiry: now.Add(time.Hour),
		},
	}, []string{"User.Read"}, cfg, now.Add(-time.Hour))
	if change != nil {
		change(e)
	}
	return e
}

func TestAccountState(t *testing.T) {
	now := time.Now()
	cfg := newConfigEntry()
	cfg.ClientID, cfg.TenantID = "app", "tenant"
	for name, test := range map[string]struct {
		change func(*accountEntry)
		cfg    *configEntry
		want   string
	}{
		"signed in":                      {nil, cfg, stateActive},
		"without config":                 {nil, nil, stateActive},
		"never signed in":                {func(e *accountEntry) { *e = *newAccountEntry(now) }, cfg, stateLoginRequired},
		"waiting for a login":            {func(e *accountEntry) { *e = *newAccountEntry(now); e.PendingLogins = []pendingLogin{{"h", now.Add(1)}} }, cfg, stateLoginPending},
		"a login that expired":           {func(e *accountEntry) { *e = *newAccountEntry(now); e.PendingLogins = []pendingLogin{{"h", now}} }, cfg, stateLoginRequired},
		"signed in, another login waits": {func(e *accountEntry) { e.PendingLogins = []pendingLogin{{"h", now.Add(1)}} }, cfg, stateActive},
		"disabled":                       {func(e *accountEntry) { e.Disabled = true; e.Refusal = &refusal{Class: entra.ClassUser} }, cfg, stateDisabled},
		"revoked":                        {func(e *accountEntry) { e.refused("", &refusal{Class: entra.ClassUser, Time: now}) }, cfg, stateLoginRequired},
		"no consent":                     {func(e *accountEntry) { e.refused("", &refusal{Class: entra.ClassResource, Time: now}) }, cfg, stateLoginRequired},
		"another role's consent":         {func(e *accountEntry) { e.refused("arm", &refusal{Class: entra.ClassResource, Time: now}) }, cfg, stateActive},
		"blocked":                        {func(e *accountEntry) { e.refused("", &refusal{Class: entra.ClassBlocked, Time: now}) }, cfg, stateAccessDenied},
		"blocked an hour ago":            {func(e *accountEntry) { e.refused("", &refusal{Class: entra.ClassBlocked, Time: now.Add(-time.Hour)}) }, cfg, stateActive},
		"another client":                 {func(e *accountEntry) { e.ClientID = "other" }, cfg, stateLoginRequired},
		"another tenant":                 {func(e *accountEntry) { e.Authority = "other" }, cfg, stateLoginRequired},
	} {
		if got := testEntry(now, test.change).state(test.cfg, now); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	old := *cfg
	old.LoginMaxAge = 30 * time.Minute
	if got := testEntry(now, nil).state(&old, now); got != stateLoginRequired {
		t.Errorf("login_max_age is over: %s", got)
	}
}

// TestAccountRefreshed: which refresh tokens are kept after which answer.
func TestAccountRefreshed(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		current, previous, used, answered entra.Secret
		wantCurrent, wantPrevious         entra.Secret
	}{
		"rotated":                     {"b", "a", "b", "c", "c", "b"},
		"no new one":                  {"b", "a", "b", "", "b", ""},
		"the same one":                {"b", "a", "b", "b", "b", ""},
		"the predecessor worked":      {"b", "a", "a", "c", "c", "a"},
		"the predecessor, no new one": {"b", "a", "a", "", "a", ""},
	} {
		e := testEntry(now, func(e *accountEntry) {
			e.RefreshToken, e.PreviousRefreshToken = test.current, test.previous
			e.refused("", &refusal{Class: entra.ClassResource, Time: now})
			e.refused("other", &refusal{Class: entra.ClassResource, Time: now})
		})
		generation := e.Generation
		e.refreshed("", []string{"User.Read"}, test.used, &entra.Tokens{AccessToken: "new", RefreshToken: test.answered, Obtained: now, Expiry: now.Add(time.Hour)})
		if e.RefreshToken != test.wantCurrent || e.PreviousRefreshToken != test.wantPrevious {
			t.Errorf("%s: keeps %s after %s", name, e.RefreshToken.Reveal(), e.PreviousRefreshToken.Reveal())
		}
		if e.Generation != generation || e.Refusals[""] != nil || e.Refusals["other"] == nil || e.LastError != nil || e.Tokens[""].AccessToken != "new" {
			t.Errorf("%s: the entry became %+v", name, e)
		}
	}
}

// TestAccountClone: a change of a copy leaves the original alone, for readers
// have it in their hands.
func TestAccountClone(t *testing.T) {
	now := time.Now()
	e := testEntry(now, func(e *accountEntry) {
		e.Metadata = map[string]string{"a": "b"}
		e.PendingLogins = []pendingLogin{{"h", now}}
		e.Refusals = map[string]*refusal{"r": {}}
		e.LatestLogin = &loginOutcome{Status: loginPending}
	})
	c := e.clone()
	c.refreshed("", nil, "first", &entra.Tokens{AccessToken: "new"})
	c.refused("", &refusal{Class: entra.ClassResource})
	c.Metadata["a"] = "c"
	c.PendingLogins[0].StateHash = "i"
	c.LatestLogin.Status = loginError
	if e.Tokens[""].AccessToken != "access" || len(e.Refusals) != 1 || e.Metadata["a"] != "b" || e.PendingLogins[0].StateHash != "h" || e.LatestLogin.Status != loginPending {
		t.Errorf("the original became %+v", e)
	}
}

func TestHeldTokenTimes(t *testing.T) {
	now := time.Now()
	token := func(age, left time.Duration) *heldToken {
		return &heldToken{ObtainedAt: now.Add(-age), Expiry: now.Add(left)}
	}
	for name, test := range map[string]struct {
		token          *heldToken
		margin, minTTL time.Duration
		fresh          bool
	}{
		"new":                         {token(0, time.Hour), 10 * time.Minute, 0, true},
		"just before the margin":      {token(50*time.Minute-1, 10*time.Minute+1), 10 * time.Minute, 0, true},
		"at the margin":               {token(50*time.Minute, 10*time.Minute), 10 * time.Minute, 0, false},
		"short-lived, before half":    {token(9*time.Second, 11*time.Second), 10 * time.Minute, 0, true},
		"short-lived, at half":        {token(10*time.Second, 10*time.Second), 10 * time.Minute, 0, false},
		"min_ttl":                     {token(0, time.Hour), 10 * time.Minute, 40 * time.Minute, true}, // capped at half
		"min_ttl beyond what is left": {token(35*time.Minute, 25*time.Minute), 10 * time.Minute, 26 * time.Minute, false},
		"from the future":             {token(-time.Minute, 2*time.Hour), 10 * time.Minute, 0, false},
		"from the future, a second":   {token(-time.Second, time.Hour), 10 * time.Minute, 0, true},
		"expired":                     {token(time.Hour, -1), time.Second, 0, false},
		"lives 4 s, 3 s left":         {token(time.Second, 3*time.Second), time.Second, 0, false},
		"lives no time":               {token(0, 0), time.Second, 0, false},
	} {
		if got := test.token.fresh(now, test.margin, test.minTTL); got != test.fresh {
			t.Errorf("%s: fresh is %v", name, got)
		}
	}
	if !token(0, 3*time.Second).usable(now) || token(0, 3*time.Second-1).usable(now) {
		t.Error("a token with less than 3 s to live is served, or one with 3 s is not")
	}
}

// TestAccountAsks: those of its scopes that were granted, all where none was.
func TestAccountAsks(t *testing.T) {
	e := &accountEntry{Granted: []string{"https://graph.microsoft.com/user.read", "Mail.Read"}}
	for _, test := range []struct{ wanted, want []string }{
		{[]string{"User.Read"}, []string{"User.Read"}},
		{[]string{"User.Read", "Mail.Send"}, []string{"User.Read"}},
		{[]string{"Mail.Send"}, []string{"Mail.Send"}},
		{[]string{"https://vault.azure.net/.default"}, []string{"https://vault.azure.net/.default"}},
	} {
		if got := e.asks(test.wanted); !slices.Equal(got, test.want) {
			t.Errorf("for %q it asks %q, want %q", test.wanted, got, test.want)
		}
	}
}

func TestIdleExpiry(t *testing.T) {
	now := time.Now()
	e := testEntry(now, nil)
	if got, want := e.idleExpiry(), now.Add(-time.Hour).Add(90*24*time.Hour); !got.Equal(want) {
		t.Errorf("idle until %s, want %s", got, want)
	}
	if got := newAccountEntry(now).idleExpiry(); !got.IsZero() {
		t.Errorf("an account that never signed in idles until %s", got)
	}
}
