// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

// benchMount is the engine with a config. The simulator is asked for nothing but
// its discovery document.
func benchMount(b *testing.B) (*backend, logical.Storage) {
	b.Helper()
	ctx := context.Background()
	sim, err := entratest.Listen("127.0.0.1:0", entratest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sim.Close() })
	storage := &logical.InmemStorage{}
	made, err := Factory(ctx, &logical.BackendConfig{StorageView: storage, System: newTestSystem(), BackendUUID: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	if err := made.Initialize(ctx, &logical.InitializationRequest{Storage: storage}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { made.Cleanup(ctx) })
	resp, err := made.HandleRequest(ctx, &logical.Request{Operation: logical.UpdateOperation, Path: "config", Storage: storage, Data: map[string]any{
		"authority_url": sim.Authority(), "tenant_id": sim.Tenant(), "client_id": sim.App.ClientID, "client_secret": sim.App.Secret(),
		"redirect_uris": vaultCallback, "ca_pem": sim.CAPEM(),
	}})
	if err != nil || resp.IsError() {
		b.Fatal(describe(resp, err))
	}
	return made.(*backend), storage
}

// benchEntry is an account as it is after its first refresh, with tokens as long
// as Entra's.
func benchEntry(reg *registration) *accountEntry {
	now := time.Now()
	e := newAccountEntry(now)
	e.User = entra.Identity{TenantID: reg.TenantID, ObjectID: "11111111-2222-3333-4444-555555555555", Username: "alice@contoso.example"}
	e.Pin = accountPin{User: e.User}
	e.ClientID, e.Authority, e.ConfiguredTenant = reg.ClientID, reg.authority(), reg.TenantID
	e.RefreshToken = entra.Secret(text(1200))
	e.RefreshTokenTime, e.LoginTime, e.LastReadTime, e.LastRefreshTime = now, now, now, now
	e.Tokens = map[string]*heldToken{"": {
		AccessToken: entra.Secret(text(1800)), TokenType: "Bearer", Scope: "User.Read", Wanted: reg.Scopes,
		ObtainedAt: now, Expiry: now.Add(24 * time.Hour),
	}}
	return e
}

func text(length int) string {
	letters := make([]byte, length)
	for i := range letters {
		letters[i] = 'a' + byte(i%26)
	}
	return string(letters)
}

// benchReads reads alice's token over and over, on every CPU, and calls each before.
func benchReads(b *testing.B, each func(*backend)) {
	engine, storage := benchMount(b)
	ctx := context.Background()
	reg, err := engine.registration(ctx, storage)
	if err != nil {
		b.Fatal(err)
	}
	if err := engine.accounts.write(ctx, storage, "alice", benchEntry(reg)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			each(engine)
			resp, err := engine.HandleRequest(ctx, &logical.Request{
				Operation: logical.ReadOperation, Path: "token/alice", MountPoint: "entra/", Storage: storage,
			})
			if err != nil || resp == nil || resp.Data["access_token"] == "" {
				b.Error(describe(resp, err))
				return
			}
		}
	})
}

// BenchmarkTokenRead is a read of a fresh token as Vault asks for it: routing,
// config, account and response.
func BenchmarkTokenRead(b *testing.B) { benchReads(b, func(*backend) {}) }

// BenchmarkTokenReadUncached is a read whose account is not in memory.
func BenchmarkTokenReadUncached(b *testing.B) {
	benchReads(b, func(engine *backend) { engine.accounts.cache.drop("alice") })
}

// BenchmarkEntry is what an account's storage entry costs to read and to write.
func BenchmarkEntry(b *testing.B) {
	engine, storage := benchMount(b)
	reg, err := engine.registration(context.Background(), storage)
	if err != nil {
		b.Fatal(err)
	}
	e := benchEntry(reg)
	value, err := json.Marshal(e)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := decodeEntry(value, &accountEntry{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := encodeEntry(e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkSchedule is the worker's schedule with 100,000 accounts in it.
func BenchmarkSchedule(b *testing.B) {
	const accounts = 100_000
	names := benchNames(accounts)
	start := time.Now()
	day := func(random *rand.Rand) time.Time {
		return start.Add(time.Duration(random.Int64N(int64(24 * time.Hour))))
	}
	fill := func() (*schedule, *rand.Rand) {
		s, random := newSchedule(), rand.New(rand.NewPCG(1, 2))
		for _, name := range names {
			s.set(name, day(random))
		}
		return s, random
	}
	b.Run("set", func(b *testing.B) {
		s, random := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			s.set(names[random.IntN(accounts)], day(random))
		}
	})
	b.Run("take and set", func(b *testing.B) {
		s, random := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			name, ok := s.take(start.Add(48 * time.Hour))
			if !ok {
				b.Fatal("nothing is due")
			}
			s.set(name, day(random))
		}
	})
	b.Run("nothing due", func(b *testing.B) {
		s, _ := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for b.Loop() {
			if _, ok := s.take(start.Add(-time.Hour)); ok {
				b.Fatal("something is due")
			}
			s.next()
		}
	})
}

// BenchmarkCache is the cache of account entries, full.
func BenchmarkCache(b *testing.B) {
	names := benchNames(2 * cachedAccounts)
	e := newAccountEntry(time.Now())
	fill := func() *entryCache[*accountEntry] {
		c := newEntryCache[*accountEntry](cachedAccounts)
		for _, name := range names[:cachedAccounts] {
			c.keep(name, e, c.mark(name))
		}
		return c
	}
	b.Run("get", func(b *testing.B) {
		c := fill()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for i := 0; pb.Next(); i++ {
				if _, ok := c.get(names[i%cachedAccounts]); !ok {
					b.Error("it is not cached")
					return
				}
			}
		})
	})
	b.Run("keep", func(b *testing.B) {
		c := fill()
		b.ReportAllocs()
		b.ResetTimer()
		for i := 0; b.Loop(); i++ {
			name := names[i%len(names)]
			c.keep(name, e, c.mark(name))
		}
	})
}

// BenchmarkList is the list with key info of 100,000 accounts, from memory.
func BenchmarkList(b *testing.B) {
	engine, storage := benchMount(b)
	ctx := context.Background()
	reg, err := engine.registration(ctx, storage)
	if err != nil {
		b.Fatal(err)
	}
	status := benchEntry(reg).status()
	for _, name := range benchNames(100_000) {
		engine.index.set(name, status)
	}
	engine.index.endBuild(true)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		resp, err := engine.HandleRequest(ctx, &logical.Request{Operation: logical.ListOperation, Path: "account/", Storage: storage})
		if err != nil || resp.IsError() {
			b.Fatal(describe(resp, err))
		}
	}
}

func benchNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("account-%06d", i)
	}
	return names
}
