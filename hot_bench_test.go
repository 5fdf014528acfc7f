// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entratest"
)

// benchMount is the engine with a config. The simulator is asked for nothing but
// its discovery document.
func benchMount(b *testing.B) (*backend, *entratest.Simulator) {
	b.Helper()
	ctx := context.Background()
	sim := entratest.New(entratest.Options{})
	b.Cleanup(sim.Close)
	storage := &logical.InmemStorage{}
	made, err := newBackend(ctx, &logical.BackendConfig{
		StorageView: storage, System: newTestSystem(), BackendUUID: "bench",
	}, sim.Transport())
	if err != nil {
		b.Fatal(err)
	}
	if err := made.Initialize(ctx, &logical.InitializationRequest{Storage: storage}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { made.Cleanup(ctx) })
	resp, err := made.HandleRequest(ctx, &logical.Request{Operation: logical.UpdateOperation, Path: "config", Storage: storage, Data: map[string]any{
		"authority_url": sim.Authority(), "scopes": "User.Read", "tenant_id": sim.Tenant(), "client_id": sim.App.ClientID, "client_secret": sim.App.Secret(),
		"redirect_uris": vaultCallback,
	}})
	if err != nil || resp.IsError() {
		b.Fatal(describe(resp, err))
	}
	return made, sim
}

// signIn brings the account alice a token.
func signIn(b *testing.B, engine *backend, sim *entratest.Simulator) {
	b.Helper()
	ctx := context.Background()
	do := func(path string, data map[string]any) map[string]any {
		resp, err := engine.HandleRequest(ctx, &logical.Request{
			Operation: logical.UpdateOperation, Path: path, Data: data, MountPoint: "entra/",
		})
		if err != nil || resp.IsError() {
			b.Fatal(describe(resp, err))
		}
		return resp.Data
	}
	started := do("login/alice", nil)
	redirect, err := sim.SignIn(ctx, started["auth_url"].(string), "alice")
	if err != nil {
		b.Fatal(err)
	}
	do("callback/alice", flat(redirect.Params))
}

// benchReads reads alice's token over and over, on every CPU, and calls each before.
func benchReads(b *testing.B, each func(*backend)) {
	engine, sim := benchMount(b)
	ctx := context.Background()
	signIn(b, engine, sim)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			each(engine)
			resp, err := engine.HandleRequest(ctx, &logical.Request{
				Operation: logical.ReadOperation, Path: "token/alice", MountPoint: "entra/",
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
	benchReads(b, func(engine *backend) { engine.accounts.Invalidate("alice") })
}
