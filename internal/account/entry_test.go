// SPDX-License-Identifier: MPL-2.0

package account

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
)

// testEntry is a signed-in account, an hour old, with changes.
func testEntry(now time.Time, change func(*Entry)) *Entry {
	cfg := config.NewEntry()
	cfg.ClientID, cfg.TenantID = "app", "tenant"
	e := NewEntry(now)
	e.SignIn(&entra.SignIn{
		User: entra.Identity{Issuer: "iss", Subject: "sub", TenantID: "tid", ObjectID: "oid", Username: "alice", PreferredUsername: "alice"},
		Tokens: entra.Tokens{
			AccessToken: "access", TokenType: "Bearer", RefreshToken: "first", Scope: "User.Read",
			Obtained: now.Add(-time.Hour), Expiry: now.Add(time.Hour),
		},
	}, []string{"User.Read"}, cfg, WithoutCredential, now.Add(-time.Hour))
	if change != nil {
		change(e)
	}
	return e
}

func TestEntryState(t *testing.T) {
	now := time.Now()
	cfg := config.NewEntry()
	cfg.ClientID, cfg.TenantID = "app", "tenant"
	for name, test := range map[string]struct {
		change func(*Entry)
		cfg    *config.Entry
		want   string
	}{
		"signed in":                      {nil, cfg, StateActive},
		"without config":                 {nil, nil, StateActive},
		"never signed in":                {func(e *Entry) { *e = *NewEntry(now) }, cfg, StateLoginRequired},
		"waiting for a login":            {func(e *Entry) { *e = *NewEntry(now); e.PendingLogins = []PendingLogin{{"h", now.Add(1)}} }, cfg, StateLoginPending},
		"a login that expired":           {func(e *Entry) { *e = *NewEntry(now); e.PendingLogins = []PendingLogin{{"h", now}} }, cfg, StateLoginRequired},
		"signed in, another login waits": {func(e *Entry) { e.PendingLogins = []PendingLogin{{"h", now.Add(1)}} }, cfg, StateActive},
		"disabled":                       {func(e *Entry) { e.Disabled = true; e.Error = &RefreshError{Class: entra.ClassUser} }, cfg, StateDisabled},
		"revoked":                        {func(e *Entry) { e.Refused("", &RefreshError{Class: entra.ClassUser, Time: now}) }, cfg, StateLoginRequired},
		"no consent":                     {func(e *Entry) { e.Refused("", &RefreshError{Class: entra.ClassResource, Time: now}) }, cfg, StateLoginRequired},
		"another role's consent":         {func(e *Entry) { e.Refused("arm", &RefreshError{Class: entra.ClassResource, Time: now}) }, cfg, StateActive},
		"blocked":                        {func(e *Entry) { e.Refused("", &RefreshError{Class: entra.ClassBlocked, Time: now}) }, cfg, StateAccessDenied},
		"blocked an hour ago":            {func(e *Entry) { e.Refused("", &RefreshError{Class: entra.ClassBlocked, Time: now.Add(-time.Hour)}) }, cfg, StateActive},
		"another client":                 {func(e *Entry) { e.ClientID = "other" }, cfg, StateLoginRequired},
		"another tenant":                 {func(e *Entry) { e.Authority = "other" }, cfg, StateLoginRequired},
	} {
		if got := testEntry(now, test.change).State(test.cfg, now); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	old := *cfg
	old.LoginMaxAge = 30 * time.Minute
	if got := testEntry(now, nil).State(&old, now); got != StateLoginRequired {
		t.Errorf("login_max_age is over: %s", got)
	}
}

// TestEntryRefreshed: which refresh tokens are kept after which answer.
func TestEntryRefreshed(t *testing.T) {
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
		e := testEntry(now, func(e *Entry) {
			e.RefreshToken, e.PreviousRefreshToken = test.current, test.previous
			e.Refused("", &RefreshError{Class: entra.ClassResource, Time: now})
			e.Refused("other", &RefreshError{Class: entra.ClassResource, Time: now})
		})
		generation := e.Generation
		e.Refreshed("", []string{"User.Read"}, test.current, test.used, &entra.Tokens{AccessToken: "new", RefreshToken: test.answered, Obtained: now, Expiry: now.Add(time.Hour)})
		if e.RefreshToken != test.wantCurrent || e.PreviousRefreshToken != test.wantPrevious {
			t.Errorf("%s: keeps %s after %s", name, e.RefreshToken.Reveal(), e.PreviousRefreshToken.Reveal())
		}
		if e.Generation != generation || e.TokenErrors[""] != nil || e.TokenErrors["other"] == nil || e.LastError != nil || e.Tokens[""].AccessToken != "new" {
			t.Errorf("%s: the entry became %+v", name, e)
		}
	}
}

// TestEntryRefreshedLate: another node has refreshed since, and its refresh token is the one that
// counts; one's own answer may be applied twice.
func TestEntryRefreshedLate(t *testing.T) {
	now := time.Now()
	e := testEntry(now, func(e *Entry) { e.RefreshToken = "a" })
	answer := func(access, refresh entra.Secret, life time.Duration) *entra.Tokens {
		return &entra.Tokens{AccessToken: access, RefreshToken: refresh, Obtained: now,
			Expiry: now.Add(life)}
	}
	for range 2 {
		e.Refreshed("", nil, "a", "a", answer("ours", "b", time.Hour))
		if e.RefreshToken != "b" || e.Tokens[""].AccessToken != "ours" {
			t.Errorf("the entry became %+v", e)
		}
	}
	e.Refreshed("", nil, "b", "b", answer("theirs", "c", 2*time.Hour))
	e.Refreshed("", nil, "a", "a", answer("ours", "b", time.Hour))
	e.Refreshed("r", nil, "a", "a", answer("ours", "b", time.Hour))
	if e.RefreshToken != "c" || e.PreviousRefreshToken != "b" || e.Tokens[""].AccessToken != "theirs" ||
		e.Tokens["r"].AccessToken != "ours" {
		t.Errorf("the entry became %+v", e)
	}
}

// TestEntryClone: a change of a copy leaves the original alone, for readers
// have it in their hands.
func TestEntryClone(t *testing.T) {
	now := time.Now()
	e := testEntry(now, func(e *Entry) {
		e.Metadata = map[string]string{"a": "b"}
		e.PendingLogins = []PendingLogin{{"h", now}}
		e.TokenErrors = map[string]*RefreshError{"r": {}}
		e.LatestLogin = &LoginOutcome{Status: LoginPending}
	})
	c := e.clone()
	c.Refreshed("", nil, c.RefreshToken, "first", &entra.Tokens{AccessToken: "new"})
	c.Refused("", &RefreshError{Class: entra.ClassResource})
	c.Metadata["a"] = "c"
	c.PendingLogins[0].StateHash = "i"
	c.LatestLogin.Status = LoginFailed
	if e.Tokens[""].AccessToken != "access" || len(e.TokenErrors) != 1 || e.Metadata["a"] != "b" || e.PendingLogins[0].StateHash != "h" || e.LatestLogin.Status != LoginPending {
		t.Errorf("the original became %+v", e)
	}
}

func TestCachedTokenTimes(t *testing.T) {
	now := time.Now()
	token := func(age, left time.Duration) *CachedToken {
		return &CachedToken{ObtainedAt: now.Add(-age), Expiry: now.Add(left)}
	}
	for name, test := range map[string]struct {
		token          *CachedToken
		margin, minTTL time.Duration
		fresh          bool
	}{
		"new":                         {token(0, time.Hour), 10 * time.Minute, 0, true},
		"just before the margin":      {token(50*time.Minute-1, 10*time.Minute+1), 10 * time.Minute, 0, true},
		"at the margin":               {token(50*time.Minute, 10*time.Minute), 10 * time.Minute, 0, false},
		"short-lived, before half":    {token(9*time.Second, 11*time.Second), 10 * time.Minute, 0, true},
		"short-lived, at half":        {token(10*time.Second, 10*time.Second), 10 * time.Minute, 0, false},
		"min_ttl":                     {token(0, time.Hour), 10 * time.Minute, 40 * time.Minute, true},
		"min_ttl beyond what is left": {token(35*time.Minute, 25*time.Minute), 10 * time.Minute, 26 * time.Minute, false},
		"from the future":             {token(-time.Minute, 2*time.Hour), 10 * time.Minute, 0, false},
		"from the future, a second":   {token(-time.Second, time.Hour), 10 * time.Minute, 0, true},
		"expired":                     {token(time.Hour, -1), time.Second, 0, false},
		"lives 4 s, 3 s left":         {token(time.Second, 3*time.Second), time.Second, 0, false},
		"lives no time":               {token(0, 0), time.Second, 0, false},
	} {
		if got := test.token.Fresh(now, test.margin, test.minTTL); got != test.fresh {
			t.Errorf("%s: fresh is %v", name, got)
		}
	}
	if !token(0, 3*time.Second).Usable(now) || token(0, 3*time.Second-1).Usable(now) {
		t.Error("a token with less than 3 s to live is served, or one with 3 s is not")
	}
}

// TestRequestedScopes: those of its scopes that were granted, all where none was.
func TestRequestedScopes(t *testing.T) {
	e := &Entry{Granted: []string{"https://graph.microsoft.com/user.read", "Mail.Read"}}
	for _, test := range []struct{ wanted, want []string }{
		{[]string{"User.Read"}, []string{"User.Read"}},
		{[]string{"User.Read", "Mail.Send"}, []string{"User.Read"}},
		{[]string{"Mail.Send"}, []string{"Mail.Send"}},
		{[]string{"https://vault.azure.net/.default"}, []string{"https://vault.azure.net/.default"}},
	} {
		if got := e.RequestedScopes(test.wanted, config.NewEntry()); !slices.Equal(got, test.want) {
			t.Errorf("for %q it asks %q, want %q", test.wanted, got, test.want)
		}
	}
}

func TestIdleExpiry(t *testing.T) {
	now := time.Now()
	e := testEntry(now, nil)
	if got, want := e.IdleExpiry(), now.Add(-time.Hour).Add(90*24*time.Hour); !got.Equal(want) {
		t.Errorf("idle until %s, want %s", got, want)
	}
	if got := NewEntry(now).IdleExpiry(); !got.IsZero() {
		t.Errorf("an account that never signed in idles until %s", got)
	}
}

// TestEntryIsBounded: an entry stays smaller than what storage takes, whatever its roles bring. The
// default token stays, and of the roles' tokens and refusals the latest.
func TestEntryIsBounded(t *testing.T) {
	s, e, now := benchStore(), benchEntry(), time.Now()
	for i := range 300 {
		role := fmt.Sprintf("role-%03d", i)
		e.Refused(role, &RefreshError{
			Class: entra.ClassResource, Message: benchText(500), Time: now.Add(time.Duration(i) * time.Second),
		})
		if i < MaxRoles {
			e.Tokens[role] = &CachedToken{
				AccessToken: entra.Secret(benchText(16 << 10)), ObtainedAt: now.Add(time.Duration(i-MaxRoles) * time.Second),
				Expiry: now.Add(time.Duration(1+MaxRoles-i) * time.Hour),
			}
		}
		e.prune(func(string) bool { return false }, now)
	}
	if _, err := s.write(t.Context(), "alice", e, 0); err != nil {
		t.Fatal(err)
	}
	kept, found := s.cache.Get("alice")
	if !found {
		t.Fatal("it is not cached")
	}
	if size := kept.StoredSize(); size > 512<<10 {
		t.Errorf("the entry has %d bytes", size)
	}
	if e.Tokens[""] == nil || e.Tokens["role-063"] == nil || e.Tokens["role-000"] != nil {
		t.Errorf("%d tokens are left", len(e.Tokens))
	}
	if e.TokenErrors["role-299"] == nil || e.TokenErrors["role-000"] != nil {
		t.Errorf("%d refusals are left", len(e.TokenErrors))
	}
}
