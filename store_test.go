// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entratest"
)

// TestUnknownFieldsSurvive: what a newer version has stored outlives a write by
// this one, in every entry.
func TestUnknownFieldsSurvive(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.mustWrite("login/alice", nil)
	m.login("alice", "alice")
	ctx := context.Background()
	for _, key := range m.storage.keys(t) {
		stored, err := m.storage.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(stored.Value, &fields); err != nil {
			t.Fatal(err)
		}
		if string(fields["version"]) != "1" {
			t.Errorf("%s has version %s", key, fields["version"])
		}
		fields["from_the_future"] = json.RawMessage(`{"a":[1,2]}`)
		value, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.storage.Put(ctx, &logical.StorageEntry{Key: key, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	m.restart()
	m.mustWrite("config", map[string]any{"login_ttl": "20m"})
	m.mustReadDue("alice")
	for _, key := range []string{"config", "account/alice"} {
		stored, err := m.storage.Get(ctx, key)
		if err != nil || !strings.Contains(string(stored.Value), `"from_the_future":{"a":[1,2]}`) {
			t.Errorf("%s lost a field: %s, %v", key, stored.Value, err)
		}
	}
}

// TestAccountCache: what was read before an invalidation is not cached after it.
func TestAccountCache(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	ctx := context.Background()
	other := *m
	other.start() // another node
	other.mustRead("token/alice")
	m.mustReadDue("alice")
	fresh := m.mustRead("token/alice")["access_token"]

	other.b.Backend.InvalidateKey(ctx, "account/alice")
	if got := other.mustRead("token/alice")["access_token"]; got != fresh {
		t.Error("an invalidated account is served from the cache")
	}

	m.storage.count(account.StoragePrefix)
	for range 100 {
		m.mustRead("token/alice")
	}
	// The background may still be reading every account once, for each node.
	if n := m.storage.count(account.StoragePrefix); n > 4 {
		t.Errorf("a hundred reads of a fresh token cost %d storage operations", n)
	}
}

// TestAccountCacheDuringWrite: what a reader took from storage while a write was
// under way must not be cached over what was written.
func TestAccountCacheDuringWrite(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{})
	m.login("alice", "alice")
	taken, written := make(chan struct{}), make(chan struct{})
	var taking atomic.Bool
	m.storage.failOn(func(op, key string) error {
		if op == "got" && key == "account/alice" && taking.CompareAndSwap(false, true) {
			close(taken) // the reader has the entry as it was
			<-written
		}
		return nil
	})
	m.b.Backend.InvalidateKey(context.Background(), "account/alice")
	read := make(chan struct{})
	go func() {
		defer close(read)
		m.mustRead("account/alice")
	}()
	<-taken
	m.mustWrite("account/alice", map[string]any{"metadata": "a=b"})
	close(written)
	<-read
	m.storage.failOn(nil)
	if got := m.mustRead("account/alice")["metadata"].(map[string]string); got["a"] != "b" {
		t.Error("a stale entry was cached over the written one")
	}
}

// TestConfigInvalidate: another node's config write is seen, and Invalidate
// returns at once whatever storage does.
func TestConfigInvalidate(t *testing.T) {
	t.Parallel()
	m := newConfiguredMount(t, entratest.Options{}, map[string]any{"background_refresh": false})
	m.login("alice", "alice")
	other := *m
	other.start()
	other.mustRead("token/alice")
	m.mustWrite("config", map[string]any{"refresh_margin": "1s"})
	gate := make(chan struct{})
	m.storage.failOn(func(string, string) error { <-gate; return nil }) // storage hangs
	done := make(chan struct{})
	go func() {
		other.b.Backend.InvalidateKey(context.Background(), "config")
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(bounded):
		t.Fatal("Invalidate waits")
	}
	close(gate)
	m.storage.failOn(nil)
	m.age("alice", 5*time.Minute)
	other.b.Backend.InvalidateKey(context.Background(), "account/alice")
	other.mustRead("token/alice")
	if n := m.refreshRequests(); n != 0 {
		t.Errorf("%d refreshes with the new margin of 1 s", n)
	}
}
