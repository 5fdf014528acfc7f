// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

// due makes every account's token due and reads it.
func (m *mount) readDue(account string) (*logical.Response, error) {
	m.t.Helper()
	m.expire(account)
	return m.read("token/" + account)
}

func (m *mount) mustReadDue(account string) {
	m.t.Helper()
	if resp, err := m.readDue(account); err != nil || resp.IsError() {
		m.t.Fatalf("read of %s: %s", account, describe(resp, err))
	}
}

// TestRefreshRotation: ten refreshes in a row under each policy. The predecessor
// is kept until its successor has worked.
func TestRefreshRotation(t *testing.T) {
	t.Parallel()
	for _, rotation := range []entratest.Rotation{entratest.RotateKeepOld, entratest.RotateRefuseOld, entratest.RotateRevokeFamily} {
		t.Run(string(rotation), func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{Rotation: rotation})
			m.login("alice", "alice")
			before := m.entry("alice")
			for range 10 {
				m.mustReadDue("alice")
				after := m.entry("alice")
				if after.RefreshToken == before.RefreshToken || after.PreviousRefreshToken != before.RefreshToken || after.Generation != before.Generation {
					t.Fatal("the rotation was not taken over")
				}
				before = after
			}
		})
	}
}

// TestRefreshWithoutNewToken: where none comes the old one is kept.
func TestRefreshWithoutNewToken(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	before := m.entry("alice").RefreshToken
	m.refreshFault(entratest.Fault{Omit: []string{"refresh_token"}})
	m.mustReadDue("alice")
	if after := m.entry("alice"); after.RefreshToken != before || after.PreviousRefreshToken != "" {
		t.Error("the refresh token was not kept")
	}
}

// TestRefreshPredecessor: a successor that has never worked and that Entra does
// not know (70000, 9002313) is replaced by its predecessor, once; no other refusal
// and no other provider ever sees the predecessor.
func TestRefreshPredecessor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    entratest.Fault
		tried    bool
		requests int
	}{
		"70000":              {entratest.Fault{AADSTS: 70000, Times: 1}, true, 2},
		"9002313":            {entratest.Fault{AADSTS: 9002313, Error: "invalid_grant", Times: 1}, true, 2},
		"70000 twice":        {entratest.Fault{AADSTS: 70000}, false, 2},
		"revoked":            {entratest.Fault{AADSTS: 50173, Times: 1}, false, 1},
		"a provider's words": {entratest.Fault{Error: "invalid_grant", Times: 1}, false, 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.mustReadDue("alice")
			m.sim.ResetCounts()
			m.refreshFault(test.fault)
			resp, err := m.readDue("alice")
			if test.tried {
				if err != nil || resp.IsError() {
					t.Fatal(describe(resp, err))
				}
			} else {
				wantProblem(t, resp, err, 400, "login_required: ")
			}
			if n := m.refreshRequests(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// TestThrottledReaderIsToldWhen: whose call Entra throttles learns when to come back, as others do.
func TestThrottledReaderIsToldWhen(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	m.refreshFault(entratest.Fault{Status: 429, Body: "slow down", RetryAfter: "7"})
	resp, err := m.read("token/alice")
	wantProblem(t, resp, err, 502, "entra_unavailable: ", "HTTP 429", "try again in 7s")
}

// TestRefreshRetries: one retry after a network error or a 5xx; none after a
// Retry-After, a 429 or an answer that means something.
func TestRefreshRetries(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fault    entratest.Fault
		requests int
		works    bool
	}{
		"503 once":             {entratest.Fault{Status: 503, Times: 1}, 2, true},
		"dropped once":         {entratest.Fault{Drop: true, Times: 1}, 2, true},
		"dropped after":        {entratest.Fault{Drop: true, AfterProcessing: true, Times: 1}, 2, true},
		"503 always":           {entratest.Fault{Status: 503}, 2, false},
		"503 with Retry-After": {entratest.Fault{Status: 503, RetryAfter: "30"}, 1, false},
		"429":                  {entratest.Fault{Status: 429, Body: "slow down"}, 1, false},
		"50196":                {entratest.Fault{AADSTS: 50196}, 1, false},
		"not JSON":             {entratest.Fault{Status: 200, Body: "hello"}, 1, false},
		"wrong secret":         {entratest.Fault{AADSTS: 7000215}, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.refreshFault(test.fault)
			resp, err := m.readDue("alice")
			if works := err == nil && !resp.IsError(); works != test.works {
				t.Errorf("answered %s", describe(resp, err))
			}
			if n := m.refreshRequests(); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
		})
	}
}

// TestNoStorm: whatever the failure, a hundred reads after it make no call.
func TestNoStorm(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]entratest.Fault{
		"revoked": {AADSTS: 50173}, "no consent": {AADSTS: 65001}, "blocked": {AADSTS: 53003}, "wrong secret": {AADSTS: 7000215},
		"scope": {AADSTS: 70011}, "429": {Status: 429, RetryAfter: "60"}, "503": {Status: 503}, "50196": {AADSTS: 50196},
		"another user": {IDToken: &entratest.IDTokenFault{Kind: entratest.IDOtherUser}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{})
			m.login("alice", "alice")
			m.refreshFault(fault)
			if resp, err := m.readDue("alice"); err == nil && !resp.IsError() {
				t.Fatal("the read worked")
			}
			made := m.refreshRequests()
			for range 100 {
				if resp, err := m.read("token/alice"); err == nil && !resp.IsError() {
					t.Fatal("a read worked")
				}
			}
			if n := m.refreshRequests(); n != made {
				t.Errorf("a hundred reads made %d calls", n-made)
			}
		})
	}
}

// TestClientRejectedTouchesNoAccount: an expired client secret is the mount's
// matter. Every account works again once it is replaced.
func TestClientRejectedTouchesNoAccount(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	for _, name := range []string{"alice", "bob", "carol"} {
		m.login(name, name)
	}
	expireSecret := func(app *entratest.App) { app.Secrets[0].Expired = true }
	if err := m.sim.UpdateApp(m.sim.App.ClientID, expireSecret); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		resp, err := m.readDue(name)
		wantProblem(t, resp, err, 502, "client_rejected: ", "AADSTS7000222", "vault write entra/config")
		if state := m.mustRead("account/" + name)["state"]; state != account.StateActive {
			t.Errorf("%s is %v", name, state)
		}
	}
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d requests for three accounts, want 1", n)
	}
	if shown := m.mustRead("config")["client_error"].(map[string]any); shown["code"] != "AADSTS7000222" || shown["since"] == "" || shown["message"] == "" {
		t.Errorf("client_error is %v", shown)
	}
	renew := func(app *entratest.App) { app.Secrets = []entratest.Secret{{Value: "renewed"}} }
	if err := m.sim.UpdateApp(m.sim.App.ClientID, renew); err != nil {
		t.Fatal(err)
	}
	m.mustWrite("config", map[string]any{"client_secret": "renewed"})
	if shown := m.mustRead("config")["client_error"].(map[string]any); len(shown) != 0 {
		t.Errorf("after the config write client_error is %v", shown)
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		m.mustReadDue(name)
	}
}

// TestLoginDoesNotStopRefreshes: a refusal of the client at a login is shown and
// stops nobody: anyone who may start a login could otherwise stop the mount.
func TestLoginDoesNotStopRefreshes(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.sim.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token, GrantType: "authorization_code"}, AADSTS: 7000215})
	resp, err := m.complete("bob", m.signIn("bob", "bob", nil))
	wantProblem(t, resp, err, 502, "client_rejected: ")
	if shown := m.mustRead("config")["client_error"].(map[string]any); shown["code"] != "AADSTS7000215" {
		t.Errorf("client_error is %v", shown)
	}
	m.mustReadDue("alice")
	if shown := m.mustRead("config")["client_error"].(map[string]any); len(shown) != 0 {
		t.Errorf("after a refresh that worked client_error is %v", shown)
	}
}

// TestAccountShowsItsError: what went wrong last is there for the operator, with
// nothing secret in it, until a refresh works.
func TestAccountShowsItsError(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.sim.Revoke("alice")
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 400, `login_required: account "alice" must sign in again (AADSTS50173: `, "Run: vault write -f entra/login/alice")
	status := m.mustRead("account/alice")
	last := status["last_error"].(map[string]any)
	if status["state"] != account.StateLoginRequired || last["class"] != string(entra.ClassUser) || last["code"] != "AADSTS50173" || last["correlation_id"] == "" || last["time"] == "" {
		t.Errorf("the account reads as %v", status)
	}
	m.login("alice", "alice")
	status = m.mustRead("account/alice")
	if last := status["last_error"].(map[string]any); len(last) != 0 || status["state"] != account.StateActive {
		t.Errorf("after a login the account reads as %v", status)
	}
}

// TestRefreshStorageFailures: whatever storage refuses in a rotation, under the
// policy that revokes everything at the first mistake, nothing is lost, and the
// readers are served while it lasts.
func TestRefreshStorageFailures(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		op    string
		after bool // fails only once Entra was asked
		spent bool
	}{
		"read before":               {"get", false, false},
		"read after Entra":          {"get", true, true},
		"write after Entra":         {"put", true, true},
		"everything after Entra":    {"", true, true},
		"everything from the start": {"", false, false},
	} {
		inBubble(t, name, func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
			m.login("alice", "alice")
			m.expire("alice")
			m.sim.ResetCounts()
			m.storage.failOn(func(op, key string) error {
				if test.after && m.refreshRequests() == 0 || test.op != "" && op != test.op || !strings.HasPrefix(key, account.StoragePrefix) {
					return nil
				}
				return errStorage
			})
			resp, err := m.read("token/alice")
			if test.spent && (err != nil || resp.IsError()) {
				t.Errorf("what Entra gave was not served: %s", describe(resp, err))
			}
			if !test.spent && err == nil {
				t.Errorf("answered %v", resp)
			}
			if n := m.refreshRequests(); (n == 1) != test.spent {
				t.Errorf("%d requests", n)
			}
			m.storage.failOn(nil)
			if test.spent {
				eventually(t, "the rotated token is stored", func() bool { return m.b.accounts.Unsaved() == 0 })
			}
			m.restart()
			m.mustReadDue("alice")
			m.mustReadDue("alice")
		})
	}
}

// TestUnsavedIsWrittenBeforeTheStop: Clean waits for the last attempt.
// A plugin whose Vault was killed runs on for a while, and another node is active:
// it makes no second attempt with a refresh token that it cannot replace.
func TestNoSecondAttemptWithoutStorage(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.expire("alice")
	m.sim.ResetCounts()
	m.refreshFault(entratest.Fault{Drop: true, Times: 1})
	m.storage.failOn(func(string, string) error {
		if m.refreshRequests() == 0 {
			return nil
		}
		return errStorage
	})
	if resp, err := m.read("token/alice"); err == nil && !resp.IsError() {
		t.Fatalf("answered %v", resp.Data)
	}
	if n := m.refreshRequests(); n != 1 {
		t.Fatalf("%d requests, want 1", n)
	}
}

func TestUnsavedIsWrittenBeforeTheStop(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	m.storage.failOn(func(op, key string) error {
		if op == "put" && m.refreshRequests() > 0 {
			return errStorage
		}
		return nil
	})
	m.mustReadDue("alice")
	m.storage.failOn(nil)
	m.restart()
	m.mustReadDue("alice")
}

// TestUnsavedRefreshGoesOn: while storage refuses to write, the account is
// refreshed again with the token that only memory holds.
func TestUnsavedRefreshGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testUnsavedRefreshGoesOn)
}

func testUnsavedRefreshGoesOn(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily, Lifetimes: entratest.Lifetimes{AccessToken: 8 * time.Second}})
	m.login("alice", "alice")
	m.expire("alice")
	m.storage.failOn(func(op, key string) error {
		if op == "put" {
			return errStorage
		}
		return nil
	})
	first := m.mustRead("token/alice")
	eventually(t, "the token is replaced", func() bool {
		return m.mustRead("token/alice")["access_token"] != first["access_token"]
	})
	m.storage.failOn(nil)
	m.restart()
	m.mustReadDue("alice")
}

// inFlight starts a read that hangs at Entra and returns how to let go.
func (m *mount) inFlight(account string) (letGo func() (*logical.Response, error)) {
	m.t.Helper()
	m.expire(account)
	return m.hangRefresh(account, entratest.Fault{})
}

// hangRefresh starts a read of a token that is due; Entra answers it, with the fault,
// once it is let go.
func (m *mount) hangRefresh(account string, fault entratest.Fault) (letGo func() (*logical.Response, error)) {
	m.t.Helper()
	gate := make(chan struct{})
	fault.Until, fault.Times = gate, 1
	m.refreshFault(fault)
	type answer struct {
		resp *logical.Response
		err  error
	}
	answered := make(chan answer, 1)
	before := m.refreshRequests()
	go func() {
		resp, err := m.read("token/" + account)
		answered <- answer{resp, err}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, entratest.Match{Endpoint: entratest.Token, GrantType: "refresh_token"}, before+1); err != nil {
		m.t.Fatal(err)
	}
	return func() (*logical.Response, error) {
		close(gate)
		a := <-answered
		return a.resp, a.err
	}
}

// TestDeleteDuringRefresh: the delete wins, nothing comes back.
func TestDeleteDuringRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	resp, err := letGo()
	wantProblem(t, resp, err, 404)
	if keys := m.storage.keys(t); len(keys) != 1 {
		t.Errorf("stored: %q", keys)
	}
}

// TestDeleteAndLoginDuringRefresh: the new account keeps its own tokens.
func TestDeleteAndLoginDuringRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	m.mustDo(logical.DeleteOperation, "account/alice", nil)
	m.login("alice", "bob")
	resp, err := letGo()
	if err != nil || resp.IsError() || resp.Data["username"] != "bob@contoso.example" {
		t.Errorf("the reader got %v, %s", resp, describe(resp, err))
	}
	if e := m.entry("alice"); e.User.Username != "bob@contoso.example" {
		t.Errorf("the account is %s's", e.User.Username)
	}
	m.mustReadDue("alice")
}

// TestLoginDuringRefresh: the sign-in wins over the refresh's result.
func TestLoginDuringRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	m.login("alice", "alice")
	after := m.entry("alice")
	if resp, err := letGo(); err != nil || resp.IsError() || resp.Data["access_token"] != after.Tokens[""].AccessToken.Reveal() {
		t.Errorf("the reader got %s", describe(resp, err))
	}
	if e := m.entry("alice"); e.RefreshToken != after.RefreshToken || e.Generation != after.Generation {
		t.Error("the refresh overwrote the sign-in")
	}
}

// TestLoginStartedDuringRefresh: other writes are merged, and the rotated token is
// kept beside them.
func TestLoginStartedDuringRefresh(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	letGo := m.inFlight("alice")
	redirect := m.signIn("alice", "alice", nil)
	m.mustWrite("account/alice", map[string]any{"metadata": "team=ops"})
	if resp, err := letGo(); err != nil || resp.IsError() {
		t.Fatal(describe(resp, err))
	}
	if e := m.entry("alice"); len(e.PendingLogins) != 1 || e.Metadata["team"] != "ops" {
		t.Errorf("the refresh dropped %v, %v", e.PendingLogins, e.Metadata)
	}
	m.mustReadDue("alice")
	if resp, err := m.complete("alice", redirect); err != nil || resp.IsError() {
		t.Error(describe(resp, err))
	}
}

// TestRefreshErrorDuringLogin: a refusal of the old token says nothing about the new one.
func TestRefreshErrorDuringLogin(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{After: 1, AADSTS: 50173, Times: 1})
	letGo := m.inFlight("alice")
	m.login("alice", "alice")
	if _, err := letGo(); err != nil {
		t.Fatal(err)
	}
	if state := m.mustRead("account/alice")["state"]; state != account.StateActive {
		t.Errorf("the account is %v", state)
	}
}

// TestCleanWaitsForTheExchange: Clean returns once the running exchange is stored,
// and refuses what comes after.
func TestCleanWaitsForTheExchange(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	m.login("alice", "alice")
	m.login("bob", "bob")
	m.expire("bob")
	letGo := m.inFlight("alice")
	cleaned := make(chan struct{})
	old := m.b
	go func() {
		old.Cleanup(context.Background())
		close(cleaned)
	}()
	eventually(t, "the backend is stopping", old.work.Stopping)
	if resp, err := m.read("token/bob"); err == nil && !resp.IsError() {
		t.Error("a refresh began while the backend was stopping")
	}
	select {
	case <-cleaned:
		t.Error("Clean did not wait")
	default:
	}
	if resp, err := letGo(); err != nil || resp.IsError() {
		t.Error(describe(resp, err))
	}
	select {
	case <-cleaned:
	case <-time.After(bounded):
		t.Fatal("Clean does not return")
	}
	m.start()
	m.mustReadDue("alice")
	m.mustReadDue("bob")
}

// TestRefreshAsksForGranted: the default token asks for those of its scopes that
// were granted.
func TestRefreshAsksForGranted(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.mustWrite("config", map[string]any{"scopes": "User.Read,Mail.Send"})
	if resp, err := m.read("token/alice"); err != nil || resp.IsError() {
		t.Fatal(describe(resp, err))
	}
	requests := m.sim.Requests()
	last := requests[len(requests)-1]
	if !strings.HasPrefix(last.Scope, "User.Read ") || strings.Contains(last.Scope, "Mail.Send") {
		t.Errorf("asked for %q", last.Scope)
	}
}

// TestTwoActiveNodes: two nodes that both believe to be active share an account
// under Entra's rotation without losing it.
func TestTwoActiveNodes(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	other := *m
	other.start()
	var reads sync.WaitGroup
	for i := range 40 {
		node := m
		if i%2 == 1 {
			node = &other
		}
		reads.Add(1)
		go func() {
			defer reads.Done()
			if resp, err := node.readDue("alice"); err != nil || resp.IsError() {
				t.Errorf("node %d: %s", i%2, describe(resp, err))
			}
		}()
	}
	reads.Wait()
	m.restart()
	m.mustReadDue("alice")
}

// TestClockSteps: a clock that jumps serves no expired token and loses nothing.
// What a test can move is not the clock but the token, the other way.
func TestClockSteps(t *testing.T) {
	t.Parallel()
	for _, step := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(step.String(), func(t *testing.T) {
			m := newConfiguredMount(t, entratest.Options{Lifetimes: entratest.Lifetimes{AccessToken: 15 * time.Minute}}, map[string]any{"refresh_margin": "1m"})
			m.login("alice", "alice")
			cached := m.entry("alice").Tokens[""]
			m.age("alice", 15*time.Minute-step) // as after the clock went on by step
			data := m.mustRead("token/alice")
			replaced := data["access_token"] != cached.AccessToken.Reveal()
			// A token from the future was obtained before the clock was set back: what
			// its expiry says cannot be trusted.
			if want := step < 0; replaced != want {
				t.Errorf("replaced: %v, want %v", replaced, want)
			}
			m.mustReadDue("alice")
		})
	}
}

func TestRetryAfterIsRespected(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{Status: http.StatusTooManyRequests, RetryAfter: "1", Times: 1})
	resp, err := m.readDue("alice")
	wantProblem(t, resp, err, 502, "entra_unavailable: ")
	start := time.Now()
	eventually(t, "the account is refreshed again", func() bool {
		resp, err := m.read("token/alice")
		return err == nil && !resp.IsError()
	})
	if waited := time.Since(start); waited < 800*time.Millisecond {
		t.Errorf("tried again after %s", waited)
	}
	if n := m.refreshRequests(); n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestManyAccountsInParallel: accounts do not wait for each other.
func TestManyAccountsInParallel(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	var accounts []string
	for i := range 8 {
		user := fmt.Sprintf("user%d@contoso.example", i)
		if _, err := m.sim.AddUser(entratest.User{Username: user}); err != nil {
			t.Fatal(err)
		}
		m.login(user, user)
		m.expire(user)
		accounts = append(accounts, user)
	}
	gate := make(chan struct{})
	m.refreshFault(entratest.Fault{Until: gate})
	m.sim.ResetCounts()
	var reads sync.WaitGroup
	for _, name := range accounts {
		reads.Add(1)
		go func() {
			defer reads.Done()
			if resp, err := m.read("token/" + name); err != nil || resp.IsError() {
				t.Error(describe(resp, err))
			}
		}()
	}
	ctx, cancel := context.WithTimeout(context.Background(), bounded)
	defer cancel()
	if err := m.sim.Await(ctx, entratest.Match{GrantType: "refresh_token"}, len(accounts)); err != nil {
		t.Error(err)
	}
	close(gate)
	reads.Wait()
}

// TestOneAccountsCalls: the calls of one account are one after the other, and each in its turn:
// none comes within a Retry-After that the one before was told.
func TestOneAccountsCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testOneAccountsCalls)
}

func testOneAccountsCalls(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	m.refreshFault(entratest.Fault{Status: 429, RetryAfter: "60", Delay: 200 * time.Millisecond})
	var readers sync.WaitGroup
	for i := range 40 {
		role := fmt.Sprint("r", i)
		m.mustWrite("roles/"+role, map[string]any{"scopes": "Mail.Read"})
		readers.Go(func() { _, _ = m.read("token/alice/" + role) })
	}
	readers.Wait()
	if n := m.refreshRequests(); n != 1 {
		t.Errorf("%d calls, and the first was told to wait for 60 s", n)
	}
}

// TestOneAccountHoldsNobodyUp: as many refreshes of one account as anybody may ask for leave the
// other accounts their turns.
func TestOneAccountHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testOneAccountHoldsNobodyUp)
}

func testOneAccountHoldsNobodyUp(t *testing.T) {
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	m.login("bob", "bob")
	m.expire("bob")
	ofAlice := entratest.Match{User: "alice"}
	m.refreshFault(entratest.Fault{Match: ofAlice, Delay: 300 * time.Millisecond})
	var forced sync.WaitGroup
	for i := range 250 {
		claims := fmt.Sprintf(`{"access_token":{"c%d":null}}`, i)
		forced.Go(func() { _, _ = m.write("refresh/alice", map[string]any{"claims": claims}) })
	}
	time.Sleep(time.Second)
	begun := time.Now()
	resp, err := m.read("token/bob")
	if took := time.Since(begun); err != nil || resp.IsError() || took > time.Second {
		t.Errorf("bob waits for %s: %s", took, describe(resp, err))
	}
	forced.Wait()
}
