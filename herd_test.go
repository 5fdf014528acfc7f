// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/store"
)

// throttling is an authority that is 200 ms away and allows so many calls in each second.
type throttling struct {
	allowed    int
	retryAfter time.Duration

	mu       sync.Mutex
	second   time.Time
	passed   int // in it
	calls    int
	refused  int
	atOnce   int
	most     int
	served   time.Time // when the latest call passed
	toldAt   time.Time // Retry-After
	pausedTo time.Time // until then
	early    int       // calls that begin between
}

// RoundTrip implements http.RoundTripper.
func (a *throttling) RoundTrip(req *http.Request) (*http.Response, error) {
	a.mu.Lock()
	a.calls++
	a.atOnce++
	a.most = max(a.most, a.atOnce)
	if now := time.Now(); now.After(a.toldAt) && now.Before(a.pausedTo) {
		a.early++
	}
	a.mu.Unlock()
	time.Sleep(100 * time.Millisecond)
	passes := a.passes()
	time.Sleep(100 * time.Millisecond)

	a.mu.Lock()
	defer a.mu.Unlock()
	a.atOnce--
	resp := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: req}
	body := map[string]any{
		"access_token": fmt.Sprintf("access-%d", a.calls), "token_type": "Bearer", "expires_in": 3600,
		"refresh_token": fmt.Sprintf("refresh-%d", a.calls), "scope": "User.Read",
	}
	if passes {
		a.served = time.Now()
	} else {
		a.refused++
		a.toldAt, a.pausedTo = time.Now(), time.Now().Add(a.retryAfter)
		resp.StatusCode = http.StatusTooManyRequests
		resp.Header.Set("Retry-After", strconv.Itoa(int(a.retryAfter.Seconds())))
		body = map[string]any{"error": "temporarily_unavailable"}
	}
	text, err := json.Marshal(body)
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	return resp, err
}

func (a *throttling) passes() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if second := time.Now().Truncate(time.Second); !second.Equal(a.second) {
		a.second, a.passed = second, 0
	}
	a.passed++
	return a.passed <= a.allowed
}

const (
	herdClient = "ac4de76e-07f3-4492-bdf5-1a14eaea26f8"
	herdTenant = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
)

// newHerdMount is the engine with so many accounts, signed in long ago; the tokens of those
// that fresh tells are good for a day.
func newHerdMount(t *testing.T, accounts int, fresh func(i int) bool, authority http.RoundTripper) *mount {
	t.Helper()
	m := &mount{t: t, storage: newTestStorage(), system: newTestSystem(), log: &testLog{},
		events: &testEvents{}, transport: authority}
	entries, now := store.New(m.storage.Storage), time.Now()
	for i := range accounts {
		e := herdEntry(i, fresh(i), now)
		if err := entries.Write(t.Context(), account.StoragePrefix+herdName(i), e); err != nil {
			t.Fatal(err)
		}
	}
	made, err := newBackend(t.Context(), &logical.BackendConfig{
		StorageView: m.storage, System: m.system, EventsSender: m.events, BackendUUID: "test",
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: m.log}),
	}, authority)
	if err != nil {
		t.Fatal(err)
	}
	m.b = made
	m.mustWrite("config", map[string]any{"tenant_id": herdTenant, "client_id": herdClient,
		"redirect_uris": vaultCallback, "verify": false})
	if err := made.Initialize(t.Context(), &logical.InitializationRequest{Storage: m.storage}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { made.Cleanup(context.Background()) })
	return m
}

// herdEntry is an account that signed in an hour ago; its token is good for a day, or has ended.
func herdEntry(i int, fresh bool, now time.Time) *account.Entry {
	cfg := config.NewEntry()
	cfg.ClientID, cfg.TenantID = herdClient, herdTenant
	left := -time.Minute
	if fresh {
		left = 24 * time.Hour
	}
	e := account.NewEntry(now)
	e.SignIn(&entra.SignIn{
		User: entra.Identity{Issuer: "i", Subject: "s", TenantID: herdTenant,
			ObjectID: fmt.Sprintf("oid-%d", i), Username: "u"},
		Tokens: entra.Tokens{
			AccessToken: "old", TokenType: "Bearer", RefreshToken: "first", Scope: "User.Read",
			Obtained: now.Add(-time.Hour), Expiry: now.Add(left),
		},
	}, []string{"User.Read"}, cfg, account.WithoutCredential, now)
	return e
}

func herdName(i int) string { return fmt.Sprintf("account-%06d", i) }

// herdRead is one read as Vault's core asks for it, without what m.do holds it to.
func (m *mount) herdRead(i int) (token, text string) {
	resp, err := m.b.HandleRequest(context.Background(), &logical.Request{
		Operation: logical.ReadOperation, Path: "token/" + herdName(i), MountPoint: "entra/",
		Storage: m.storage,
	})
	if err != nil || resp.IsError() {
		return "", describe(resp, err)
	}
	return resp.Data["access_token"].(string), strings.Join(resp.Warnings, "; ")
}

// comeBack is when an answer asks its reader to come back.
var comeBack = regexp.MustCompile(`try again in (\d+m)?(\d+s)?`)

// TestThrottledHerd: ten thousand accounts are due together and each has its reader, at an
// authority that allows a hundred calls a second.
func TestThrottledHerd(t *testing.T) { synctest.Test(t, testThrottledHerd) }

func testThrottledHerd(t *testing.T) {
	const herd, others = 10_000, 100 // the others' tokens are fresh
	authority := &throttling{allowed: 100, retryAfter: 5 * time.Second}
	m := newHerdMount(t, herd+others, func(i int) bool { return i >= herd }, authority)
	synctest.Wait()
	start := time.Now()
	var mu sync.Mutex
	var longest, back, freshLongest time.Duration
	told, freshReads := 0, 0
	leave := map[time.Duration]int{} // in each second, without a token
	var readers, freshReaders sync.WaitGroup
	for i := range herd {
		readers.Go(func() {
			for {
				began := time.Now()
				token, text := m.herdRead(i)
				took := time.Since(began)
				mu.Lock()
				longest, back = max(longest, took), max(back, time.Since(start))
				if token == "" {
					told++
					leave[time.Since(start).Truncate(time.Second)]++
				}
				mu.Unlock()
				if token != "" {
					return
				}
				if !strings.HasPrefix(text, "entra_unavailable: ") {
					t.Errorf("a reader was told %s", text)
					return
				}
				wait := 5 * time.Second
				if found := comeBack.FindString(text); found != "" {
					wait, _ = time.ParseDuration(strings.TrimPrefix(found, "try again in "))
				}
				time.Sleep(wait)
			}
		})
	}
	ended := make(chan struct{})
	for i := herd; i < herd+others; i++ {
		freshReaders.Go(func() {
			for {
				began := time.Now()
				token, text := m.herdRead(i)
				mu.Lock()
				freshReads++
				freshLongest = max(freshLongest, time.Since(began))
				mu.Unlock()
				if token != "old" || text != "" {
					t.Errorf("a reader of a fresh token got %q, %s", token, text)
				}
				select {
				case <-ended:
					return
				case <-time.After(time.Second):
				}
			}
		})
	}
	readers.Wait()
	close(ended)
	freshReaders.Wait()

	a := authority
	wasted, took := float64(a.refused)/float64(a.calls), a.served.Sub(start)
	t.Logf("%d calls, %d at once at most, %.2f %% refused; all tokens are fresh after %s, the last "+
		"reader has one after %s; %d answers without a token, the longest after %s; %d reads of fresh "+
		"tokens, the longest %s", a.calls, a.most, 100*wasted, took, back, told, longest, freshReads,
		freshLongest)
	if allowed := time.Duration(herd/a.allowed) * time.Second; took > allowed*13/10 {
		t.Errorf("the mount is back after %s, and %s are allowed", took, allowed)
	}
	if wasted > 0.02 {
		t.Errorf("%.2f %% of the calls had no effect", 100*wasted)
	}
	if a.early > 0 {
		t.Errorf("%d calls came before Retry-After was over", a.early)
	}
	if done := a.calls - a.refused; done != herd {
		t.Errorf("%d refreshes for %d accounts", done, herd)
	}
	if most := 64 + 8; a.most > most {
		t.Errorf("%d calls at once, want %d at most", a.most, most)
	}
	if longest > 19*time.Second {
		t.Errorf("a reader waited for %s", longest)
	}
	for second, readers := range leave {
		if readers > herd/5 {
			t.Errorf("%d readers leave at once, after %s", readers, second)
		}
	}
	if freshLongest > 0 {
		t.Errorf("a reader of a fresh token waited for %s", freshLongest)
	}
}
