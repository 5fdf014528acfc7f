// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/problem"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"
)

// offlineMount is an engine whose config names an authority that nobody asks.
func offlineMount(f *testing.F) (*backend, logical.Storage) {
	f.Helper()
	storage := &logical.InmemStorage{}
	made, err := Factory(context.Background(), &logical.BackendConfig{StorageView: storage, System: newTestSystem()})
	if err != nil {
		f.Fatal(err)
	}
	b := made.(*backend)
	resp, err := b.HandleRequest(context.Background(), &logical.Request{
		Operation: logical.UpdateOperation, Path: "config", Storage: storage, MountPoint: "entra/",
		Data: map[string]any{"tenant_id": "contoso.example", "client_id": "c", "redirect_uris": vaultCallback, "verify": false},
	})
	if err != nil || resp.IsError() {
		f.Fatal(describe(resp, err))
	}
	return b, storage
}

// FuzzBrowserCallback: whatever is sent to it, the answer is a page of ours, which
// repeats nothing, and nothing is written.
func FuzzBrowserCallback(f *testing.F) {
	b, storage := offlineMount(f)
	f.Add("code", "state", "iss", "access_denied", "AADSTS65004: declined", "confirm", true)
	f.Add("", "<script>alert(1)</script>", "", "", "", "cancel", false)
	f.Add("a,b", "s", "\x00", "", "\u202e", "", true)
	f.Fuzz(func(t *testing.T, code, state, iss, errorCode, description, decision string, post bool) {
		op := logical.Operation(logical.ReadOperation)
		if post {
			op = logical.UpdateOperation
		}
		resp, err := b.HandleRequest(context.Background(), &logical.Request{
			Operation: op, Path: "callback", Storage: storage, Unauthenticated: true,
			Data: map[string]any{"code": code, "state": state, "iss": iss, "error": errorCode, "error_description": description, "decision": decision},
		})
		if err != nil {
			t.Fatal(err)
		}
		body, _ := resp.Data[logical.HTTPRawBody].([]byte)
		if resp.Data[logical.HTTPStatusCode] != 400 || !strings.Contains(string(body), "<h1>") || !utf8.Valid(body) {
			t.Fatalf("answered %v", resp.Data)
		}
		for _, sent := range []string{code, state, iss, errorCode, description} {
			if len(sent) > 20 && strings.Contains(string(body), sent) {
				t.Errorf("the page repeats %q", sent)
			}
		}
		keys, err := logical.CollectKeys(context.Background(), storage)
		if err != nil || len(keys) != 1 {
			t.Errorf("stored: %q, %v", keys, err)
		}
	})
}

// FuzzPastedURL: a pasted address is read or refused, by its field's name.
func FuzzPastedURL(f *testing.F) {
	f.Add("http://localhost/callback?code=c&state=s#")
	f.Add("?code=c&code=d")
	f.Add("%zz")
	fields := (&backend{}).pathAccountCallback().Fields
	f.Fuzz(func(t *testing.T, pasted string) {
		resp, err := pastedResponse(&framework.FieldData{Raw: map[string]any{"url": pasted}, Schema: fields})
		switch {
		case err == nil && (resp.State == "" || (resp.Code == "") == (resp.Error == "")):
			t.Errorf("%q was read as %v", pasted, resp)
		case err != nil && !strings.HasPrefix(err.Error(), "invalid_request: "):
			t.Errorf("%q: %v", pasted, err)
		}
	})
}

// FuzzConfig: a config is refused by a field's name, or it holds what it must.
func FuzzConfig(f *testing.F) {
	f.Add("contoso.example", "client", "", "https://vault.example.com/cb", "User.Read", "", 600, 600, 8)
	f.Add("common", "c", "https://login.example/x", "http://localhost/cb", "https://x/.default", "-----BEGIN CERTIFICATE-----", 60, 1, 1)
	fields := configFields()
	f.Fuzz(func(t *testing.T, tenant, client, authority, redirect, scopes, ca string, ttl, margin, ceiling int) {
		d := &framework.FieldData{Schema: fields, Raw: map[string]any{
			"tenant_id": tenant, "client_id": client, "authority_url": authority, "redirect_uris": redirect, "scopes": scopes, "ca_pem": ca,
			"login_ttl": ttl, "refresh_margin": margin, "max_concurrent_refreshes": ceiling,
		}}
		if d.Validate() != nil {
			return // the framework's own refusal
		}
		cfg := config.NewEntry()
		applyConfigFields(cfg, d)
		err := cfg.Validate()
		if err != nil {
			if word, field, found := strings.Cut(err.Error(), ": "); !found || word != string(problem.InvalidRequest) || !strings.Contains(field, ": ") {
				t.Errorf("refused without a field's name: %v", err)
			}
			return
		}
		for _, uri := range cfg.RedirectURIs {
			if !strings.HasPrefix(strings.ToLower(uri), "https://") && !strings.HasPrefix(strings.ToLower(uri), "http://") {
				t.Errorf("redirect URI %q", uri)
			}
		}
		if cfg.ClientID == "" || cfg.TenantID == "" && cfg.AuthorityURL == "" || cfg.LoginTTL < time.Minute || cfg.RefreshMargin < time.Second {
			t.Errorf("accepted %+v", cfg)
		}
	})
}

// FuzzInitialize: whatever storage holds, nothing panics or exits while the backend comes
// up and does its first work: a plugin that dies then leaves the mount dead.
func FuzzInitialize(f *testing.F) {
	f.Add("config", `{"version":1,"client_id":"c","tenant_id":"contoso.example"}`, "account/a", `{"tokens":{"":null}}`)
	f.Add("login/00", `{"expiry":"x"}`, "role/r", `{"scopes":[null]}`)
	f.Add("config", `null`, "account/..", `[]`)
	f.Add("account/a", `{"refresh_token":"r","tokens":{"m":null},"refusals":{"":null},"roles":["x"]}`, "config", `{"redirect_uris":null,"max_concurrent_refreshes":-1,"keepalive_interval":-5,"background_refresh":true}`)
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		synctest.Test(t, func(t *testing.T) {
			ctx := context.Background()
			storage := &logical.InmemStorage{}
			for key, value := range map[string]string{key1: value1, key2: value2} {
				if key != "" && !strings.Contains(key, "..") {
					_ = storage.Put(ctx, &logical.StorageEntry{Key: key, Value: []byte(value)})
				}
			}
			sim := nobody{}
			b, err := newBackend(ctx, &logical.BackendConfig{StorageView: storage, System: newTestSystem()}, sim)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Initialize(ctx, &logical.InitializationRequest{Storage: storage}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Hour)
			for _, path := range []string{"config", "account/a", "token/a", "token/a/m", "login/a", "roles/r"} {
				_, _ = b.HandleRequest(ctx, &logical.Request{Operation: logical.ReadOperation, Path: path, Storage: storage})
			}
			_, _ = b.HandleRequest(ctx, &logical.Request{Operation: logical.ListOperation, Path: "account/", Storage: storage})
			b.Cleanup(ctx)
		})
	})
}

// nobody is a network where nobody answers.
type nobody struct{}

func (nobody) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
