// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// TestWalk is the whole way: sign in once, read, read again, read when the token
// is due.
func TestWalk(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	done := m.login("alice", "alice")
	if done["username"] != "alice@contoso.example" {
		t.Errorf("signed in as %v", done["username"])
	}
	first := m.mustRead("token/alice")
	token, ok := m.sim.Introspect(first["access_token"].(string))
	if !ok || !token.Active || token.Username != "alice@contoso.example" {
		t.Errorf("the token is %+v", token)
	}
	if again := m.mustRead("token/alice"); again["access_token"] != first["access_token"] {
		t.Error("a second read gave another token")
	}
	if n := m.refreshRequests(); n != 0 {
		t.Errorf("%d refreshes for a fresh token", n)
	}
	m.age("alice", time.Minute)
	second := m.mustRead("token/alice")
	if second["access_token"] == first["access_token"] {
		t.Error("a token that is due was served")
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// TestTokenResponse: exactly the fields of the contract, of the types that
// readers act on.
func TestTokenResponse(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}})
	before := time.Now().Truncate(time.Second)
	m.login("alice", "alice")
	alice, _ := m.sim.User("alice")
	data := m.mustRead("token/alice")
	if len(data) != 11 {
		t.Errorf("%d fields: %v", len(data), data)
	}
	for field, want := range map[string]any{
		"token_type": "Bearer", "tenant_id": m.sim.Tenant(), "client_id": m.sim.App.ClientID,
		"username": "alice@contoso.example", "object_id": alice.ObjectID, "rotation_period": int64(50 * 60),
	} {
		if data[field] != want {
			t.Errorf("%s is %v (%[2]T), want %v", field, data[field], want)
		}
	}
	if ttl := data["ttl"].(int64); ttl > 50*60 || ttl < 50*60-30 {
		t.Errorf("ttl is %d", ttl)
	}
	rotated, err1 := time.Parse(time.RFC3339, data["last_vault_rotation"].(string))
	expires, err2 := time.Parse(time.RFC3339, data["expire_time"].(string))
	if err1 != nil || err2 != nil || rotated.Before(before) || expires.Sub(rotated) != time.Hour || !strings.HasSuffix(data["expire_time"].(string), "Z") {
		t.Errorf("obtained %v, expires %v", data["last_vault_rotation"], data["expire_time"])
	}
	if scope := data["scope"].(string); !strings.Contains(scope, "User.Read") {
		t.Errorf("scope is %q", scope)
	}
	// A client that can only PUT gets the same.
	put := m.mustWrite("token/alice", nil)
	for field, value := range data {
		if field != "ttl" && put[field] != value {
			t.Errorf("by PUT %s is %v, by GET %v", field, put[field], value)
		}
	}
}

// TestTokenMinTTL: a reader can ask for more than refresh_margin, up to half of
// the token's life.
func TestTokenMinTTL(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}})
	m.login("alice", "alice")
	m.age("alice", 40*time.Minute)
	cached := m.mustRead("token/alice")
	same := m.mustWrite("token/alice", map[string]any{"min_ttl": "20m"})
	if same["access_token"] != cached["access_token"] {
		t.Error("a token with 40 minutes left was replaced for min_ttl=20m")
	}
	if ttl := same["ttl"].(int64); ttl > 20*60 || ttl < 20*60-30 {
		t.Errorf("ttl is %d, want about 20 minutes", ttl)
	}
	if same["rotation_period"] != cached["rotation_period"] {
		t.Error("rotation_period follows min_ttl")
	}
	resp, err := m.write("token/alice", map[string]any{"min_ttl": "20h"})
	if err != nil || len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], "min_ttl is capped") {
		t.Errorf("min_ttl=20h: %v, %v", resp, err)
	}
	m.age("alice", 25*time.Minute)
	if other := m.mustWrite("token/alice", map[string]any{"min_ttl": "28m"}); other["access_token"] == cached["access_token"] {
		t.Error("a token with 25 minutes left was served for min_ttl=28m")
	}
	resp, err = m.write("token/alice", map[string]any{"min_ttl": -1})
	wantProblem(t, resp, err, 400, "invalid_request: ", "min_ttl")
}

// TestTokenUnknown: 404 by any method, and what is known of an account that never
// signed in.
func TestTokenUnknown(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	resp, err := m.read("token/nobody")
	wantProblem(t, resp, err, 404)
	resp, err = m.write("token/nobody", nil)
	wantProblem(t, resp, err, 404)
	m.mustWrite("login/alice", nil)
	resp, err = m.read("token/alice")
	wantProblem(t, resp, err, 400, `login_required: account "alice" must sign in`, "Run: vault write -f entra/login/alice")
}

// TestAccountNamesKeepTheirCase: Vault's ACL is case-sensitive, so are we.
func TestAccountNamesKeepTheirCase(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.login("Alice", "bob")
	m.login("alice@contoso.example", "carol")
	for account, user := range map[string]string{"alice": "alice", "Alice": "bob", "alice@contoso.example": "carol"} {
		if got := m.mustRead("token/" + account)["username"]; got != user+"@contoso.example" {
			t.Errorf("%s is %v", account, got)
		}
	}
	resp, err := m.read("token/ALICE")
	wantProblem(t, resp, err, 404)
}

// TestTokenOneRefresh: many readers of an expired token make one request, and all
// get its result.
func TestTokenOneRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate})
	const readers = 1000
	tokens := make([]string, readers)
	var reads sync.WaitGroup
	for i := range readers {
		reads.Add(1)
		go func() {
			defer reads.Done()
			resp, err := m.read("token/alice")
			if err != nil || resp.IsError() {
				tokens[i] = describe(resp, err)
				return
			}
			tokens[i] = resp.Data["access_token"].(string)
		}()
	}
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, entratest.Match{GrantType: "refresh_token"}, 1); err != nil {
		t.Fatal(err)
	}
	close(gate)
	reads.Wait()
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d token requests, want 1", n)
	}
	for i, token := range tokens {
		if token != tokens[0] || strings.Contains(token, " ") {
			t.Fatalf("reader %d got %q", i, token)
		}
	}
}

// TestFreshTokenWaitsForNobody: while one reader's refresh hangs, those whom the
// held token satisfies are served.
func TestFreshTokenWaitsForNobody(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Hour}})
	m.login("alice", "alice")
	m.age("alice", 15*time.Minute)
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate})
	greedy := make(chan error, 1)
	go func() {
		_, err := m.write("token/alice", map[string]any{"min_ttl": "20m"})
		greedy <- err
	}()
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, entratest.Match{GrantType: "refresh_token"}, 1); err != nil {
		t.Fatal(err)
	}
	m.mustRead("token/alice")                                       // a fresh token
	m.mustWrite("account/alice", map[string]any{"metadata": "a=b"}) // and no other write waits
	m.login("bob", "bob")
	close(gate)
	if err := <-greedy; err != nil {
		t.Error(err)
	}
	if e := m.entry("alice"); e.Metadata["a"] != "b" {
		t.Error("the refresh overwrote metadata")
	}
}

// TestCachedTokenIsServed: while the cached token is valid every class of failure
// leaves it served, with a warning that says why; when it is not, the class's own
// word and status are the answer.
func TestCachedTokenIsServed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  entratest.Fault
		status int
		word   string
	}{
		"user":                  {entratest.Fault{AADSTS: 50173}, 400, "login_required: "},
		"user, one resource":    {entratest.Fault{AADSTS: 65001}, 400, "login_required: "},
		"blocked":               {entratest.Fault{AADSTS: 53003}, 400, "access_denied: "},
		"client":                {entratest.Fault{AADSTS: 7000222}, 502, "client_rejected: "},
		"request":               {entratest.Fault{AADSTS: 70011}, 400, "invalid_request: "},
		"throttled":             {entratest.Fault{Status: 429, Body: "slow down", RetryAfter: "60"}, 502, "entra_unavailable: "},
		"down":                  {entratest.Fault{Status: 503}, 502, "entra_unavailable: "},
		"a loop (50196)":        {entratest.Fault{AADSTS: 50196}, 502, "entra_unavailable: "},
		"dropped":               {entratest.Fault{Drop: true}, 502, "entra_unavailable: "},
		"not JSON":              {entratest.Fault{Status: 200, Body: "hello"}, 502, "entra_unavailable: "},
		"huge":                  {entratest.Fault{Status: 200, BodySize: 8 << 20}, 502, "entra_unavailable: "},
		"slow":                  {entratest.Fault{Hang: true}, 502, "entra_unavailable: "},
		"an answer for another": {entratest.Fault{IDToken: &entratest.IDTokenFault{Kind: entratest.IDOtherUser}}, 400, "login_required: "},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{}, map[string]any{"request_timeout": "1s"})
			m.login("alice", "alice")
			m.age("alice", time.Minute)
			cached := m.entry("alice").Tokens[""].AccessToken.Reveal()
			m.refreshFault(test.fault)
			resp, err := m.read("token/alice")
			if err != nil || resp.IsError() {
				t.Fatalf("a valid token was not served: %s", describe(resp, err))
			}
			if resp.Data["access_token"] != cached {
				t.Error("another token was served")
			}
			if ttl := resp.Data["ttl"].(int64); ttl < 3 || ttl > 60 {
				t.Errorf("ttl is %d", ttl)
			}
			if len(resp.Warnings) != 1 || !strings.Contains(resp.Warnings[0], test.word) {
				t.Errorf("warnings %q, want %q in one", resp.Warnings, test.word)
			}
			m.age("alice", 2*time.Second) // less than 3 s is never served
			resp, err = m.read("token/alice")
			wantProblem(t, resp, err, test.status, test.word)
			m.restart() // it heals or stays as it must
			m.sim.Faults.Clear()
			resp, err = m.read("token/alice")
			lasting := test.fault.AADSTS == 50173 || test.fault.AADSTS == 65001 || test.fault.AADSTS == 53003 || test.fault.IDToken != nil
			if status, message := statusOf(resp, err); lasting != (status == 400) || !lasting && status != 200 {
				t.Errorf("afterwards: %d %s", status, message)
			}
			m.login("alice", "alice")
			m.mustRead("token/alice")
		})
	}
}

// TestTTLAfterAFailure: at most a minute, what is left below that, and 3 at least.
func TestTTLAfterAFailure(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for left, want := range map[time.Duration]int64{
		time.Hour: 60, time.Minute: 60, 30*time.Second + 400*time.Millisecond: 30, 3 * time.Second: 3, 3900 * time.Millisecond: 3,
	} {
		if got := retryAfterFailure(&account.CachedToken{Expiry: now.Add(left)}, now); got != want {
			t.Errorf("with %s left ttl is %d, want %d", left, got, want)
		}
	}
}

// TestTokenTTLIsHonest: a read at ttl+1 s serves another token.
func TestTokenTTLIsHonest(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: 8 * time.Second}})
	m.login("alice", "alice")
	first := m.mustRead("token/alice")
	ttl := time.Duration(first["ttl"].(int64)) * time.Second
	if ttl > 4*time.Second || first["rotation_period"] != int64(4) {
		t.Fatalf("a token of 8 s has ttl %s, rotation_period %v", ttl, first["rotation_period"])
	}
	// The token's time passes, not ours: it is as old as if ttl+1 s had gone by.
	m.age("alice", 8*time.Second-ttl-time.Second)
	if second := m.mustRead("token/alice"); second["access_token"] == first["access_token"] {
		t.Error("the same token was served")
	}
}

// TestTokenOddLifetimes: expires_in as no provider should send it.
func TestTokenOddLifetimes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault  entratest.Fault
		life   time.Duration
		status int
	}{
		"a string":  {entratest.Fault{Set: map[string]any{"expires_in": "3600"}}, time.Hour, 200},
		"absent":    {entratest.Fault{Omit: []string{"expires_in"}}, 5 * time.Minute, 200},
		"enormous":  {entratest.Fault{Set: map[string]any{"expires_in": 1e18}}, 30 * 24 * time.Hour, 200},
		"zero":      {entratest.Fault{Set: map[string]any{"expires_in": 0}}, 0, 502},
		"negative":  {entratest.Fault{Set: map[string]any{"expires_in": -60}}, 0, 502},
		"2 seconds": {entratest.Fault{Set: map[string]any{"expires_in": 2}}, 0, 502},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.expire("alice")
			m.refreshFault(test.fault)
			for range 3 {
				resp, err := m.read("token/alice")
				if test.status != 200 {
					wantProblem(t, resp, err, test.status, "entra_unavailable: ")
					continue
				}
				if err != nil || resp.IsError() {
					t.Fatal(describe(resp, err))
				}
				cached := m.entry("alice").Tokens[""]
				if cached.Life() != test.life {
					t.Errorf("lives %s, want %s", cached.Life(), test.life)
				}
			}
			if n := m.refreshRequests(); n != 1 {
				t.Errorf("three reads made %d requests", n)
			}
		})
	}
}

// TestTokenAnswerForMargin: a margin longer than the token's life makes half of
// the life count, so reads do not turn into calls.
func TestTokenAnswerForMargin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: time.Minute}}, map[string]any{"refresh_margin": "2h"})
	m.login("alice", "alice")
	for range 5 {
		if data := m.mustRead("token/alice"); data["ttl"].(int64) > 30 || data["ttl"].(int64) < 20 {
			t.Errorf("ttl is %v", data["ttl"])
		}
	}
	if n := m.refreshRequests(); n != 0 {
		t.Errorf("%d refreshes", n)
	}
}

// TestDisabledAccount: nothing is served, and nothing is lost.
func TestDisabledAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	for range 2 {
		resp, err := m.read("token/alice")
		wantProblem(t, resp, err, 400, "account_disabled: ", "vault write entra/account/alice disabled=false")
		m.expire("alice")
	}
	if n := m.refreshRequests(); n != 0 {
		t.Errorf("%d refreshes of a disabled account", n)
	}
	m.mustWrite("account/alice", map[string]any{"disabled": false})
	m.mustRead("token/alice")
}

// TestDisabledDuringRefresh: the kill switch counts at once, and the rotated
// refresh token is kept all the same.
func TestDisabledDuringRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	m.expire("alice")
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate, Times: 1})
	read := make(chan string, 1)
	go func() {
		resp, err := m.read("token/alice")
		read <- describe(resp, err)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, entratest.Match{GrantType: "refresh_token"}, 1); err != nil {
		t.Fatal(err)
	}
	m.mustWrite("account/alice", map[string]any{"disabled": true})
	close(gate)
	if message := <-read; !strings.HasPrefix(message, "account_disabled: ") {
		t.Errorf("the reader got %q", message)
	}
	m.mustWrite("account/alice", map[string]any{"disabled": false})
	m.expire("alice")
	m.mustRead("token/alice")
}

// TestStandbyCallsNobody: a node that may not write answers ErrReadOnly, bare,
// before it spends anything, and serves what is fresh.
func TestStandbyCallsNobody(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]consts.ReplicationState{
		"performance standby":   consts.ReplicationPerformanceStandby,
		"performance secondary": consts.ReplicationPerformanceSecondary,
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.system.setState(state)
			m.mustRead("token/alice")
			m.age("alice", time.Minute) // valid, but due
			for range 3 {
				resp, err := m.read("token/alice")
				if resp != nil || err != logical.ErrReadOnly { // core compares, it does not unwrap
					t.Fatalf("answered %v, %v", resp, err)
				}
			}
			if n := m.sim.Count(entratest.Match{Endpoint: entratest.Token, GrantType: "refresh_token"}); n != 0 {
				t.Errorf("%d requests to Entra", n)
			}
			m.system.setState(consts.ReplicationPerformanceDisabled)
			m.mustRead("token/alice")
		})
	}
}

// TestReaderLeaves: a reader that hangs up ends nobody's refresh.
func TestReaderLeaves(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	m.expire("alice")
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate, Times: 1})
	ctx, leave := context.WithCancel(context.Background())
	var readers sync.WaitGroup
	for range 500 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			if _, err := m.do(ctx, logical.ReadOperation, "token/alice", nil); !errors.Is(err, context.Canceled) {
				t.Errorf("a reader that left got %v", err)
			}
		}()
	}
	await, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(await, entratest.Match{GrantType: "refresh_token"}, 1); err != nil {
		t.Fatal(err)
	}
	leave()
	readers.Wait()
	close(gate)
	m.mustRead("token/alice")
	m.expire("alice")
	m.mustRead("token/alice")
	if n := m.refreshRequests(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
