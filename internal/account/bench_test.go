// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/store"
)

// benchEntry is an account with one token of the size that Entra's have.
func benchEntry() *Entry {
	now := time.Now()
	e := NewEntry(now)
	e.User = entra.Identity{
		TenantID: "22222222-2222-3333-4444-555555555555",
		ObjectID: "11111111-2222-3333-4444-555555555555",
		Username: "alice@contoso.example",
	}
	e.Pin = Pin{User: e.User}
	e.RefreshToken = entra.Secret(benchText(1200))
	e.RefreshTokenTime, e.LoginTime, e.LastReadTime, e.LastRefreshTime = now, now, now, now
	e.Tokens = map[string]*CachedToken{"": {
		AccessToken: entra.Secret(benchText(1800)), TokenType: "Bearer", Scope: "User.Read",
		Scopes: []string{"User.Read"}, ObtainedAt: now, Expiry: now.Add(24 * time.Hour),
	}}
	return e
}

func benchText(length int) string {
	letters := make([]byte, length)
	for i := range letters {
		letters[i] = 'a' + byte(i%26)
	}
	return string(letters)
}

func benchStore() *Store {
	entries := store.New(&logical.InmemStorage{})
	work := lifecycle.NewWork()
	roles := config.NewStore(entries, work, nil).Roles
	return NewStore(entries, roles, work, hclog.NewNullLogger())
}

// BenchmarkEntry measures what a read that misses the cache pays for the entry, and
// what a write does.
func BenchmarkEntry(b *testing.B) {
	s, e, ctx := benchStore(), benchEntry(), context.Background()
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.write(ctx, "alice", e, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, err := s.load(ctx, "alice"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkIndex measures a list with key info of 100,000 accounts.
func BenchmarkIndex(b *testing.B) {
	x, e, now := newIndex(), benchEntry(), time.Now()
	x.Keep()
	build := x.beginBuild()
	for i := range 100_000 {
		x.set(fmt.Sprintf("account-%06d", i), e)
	}
	x.endBuild(build, true)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		names, complete := x.Names()
		shown := 0
		x.Each(names, nil, now, func(string, Info) { shown++ })
		if !complete || shown != 100_000 {
			b.Fatalf("%d are shown, complete is %t", shown, complete)
		}
	}
}
