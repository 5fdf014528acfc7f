// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

// TestGrantedScopes checks that the scope member names what was asked in the form it was
// asked, and may name more.
func TestGrantedScopes(t *testing.T) {
	for name, test := range map[string]struct{ scope, granted string }{
		"bare": {"User.Read", "User.Read"},
		"with OpenID scopes": {"openid profile offline_access User.Read",
			"User.Read openid profile"},
		"in another case": {"OpenID user.read", "User.Read openid"},
		"as URL": {graph + "/Mail.Read openid email",
			graph + "/Mail.Read openid email"},
		"Graph's default": {graph + "/.default openid",
			graph + "/Mail.Read " + graph + "/User.Read " + graph + "/.default openid"},
		"ARM with two slashes": {"openid " + arm + "//user_impersonation",
			arm + "//user_impersonation"},
		"ARM's default": {arm + "//.default offline_access",
			arm + "//user_impersonation " + arm + "//.default"},
		"by application id": {"499b84ac-1321-427f-aa17-267ca6975798/vso.code",
			"499b84ac-1321-427f-aa17-267ca6975798/vso.code"},
		"OpenID scopes only":        {"openid profile", "openid profile"},
		"an API of one's own":       {"api://orders/Orders.Write", "api://orders/Orders.Write"},
		"the same permission twice": {"User.Read user.read", "User.Read"},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{})
			a := w.redeem(w.code("alice", "scope", test.scope), "scope", test.scope).good(t)
			if a.Scope != test.granted {
				t.Errorf("granted %q, want %q", a.Scope, test.granted)
			}
		})
	}
	t.Run("more than was asked", func(t *testing.T) {
		w := start(t, entratest.Options{})
		token := w.redeem(w.code("alice", "scope", allScopes+" Mail.Read")).good(t).RefreshToken
		if a := w.refresh(token, "scope", "User.Read").good(t); a.Scope != "User.Read Mail.Read" {
			t.Errorf("granted %q", a.Scope)
		}
	})
}

func TestConsent(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	if a := w.refresh(token, "scope", "Mail.Read").refused(t, 400, "invalid_grant",
		65001); a.Suberror != "consent_required" {
		t.Errorf("suberror %q", a.Suberror)
	}
	w.code("alice", "scope", "Mail.Read") // consents
	w.refresh(token, "scope", "Mail.Read").good(t)

	if err := w.RemoveConsent("alice", w.App.ClientID, graph); err != nil {
		t.Fatal(err)
	}
	w.refresh(token).refused(t, 400, "invalid_grant", 65001)
	w.signIn("alice")
	w.refresh(token).good(t)
	for _, wrong := range [][3]string{{"nobody", w.App.ClientID, graph}, {"alice", "nobody", graph},
		{"alice", w.App.ClientID, "https://nothing.example"}} {
		if err := w.RemoveConsent(wrong[0], wrong[1], wrong[2]); err == nil {
			t.Errorf("%v: consent removed", wrong)
		}
	}
}

func TestAdminConsent(t *testing.T) {
	w := start(t, entratest.Options{})
	const scope = "openid offline_access User.Read.All"
	redirect, err := w.SignIn(t.Context(), w.authURL("scope", scope), "alice")
	if err != nil || redirect.Params.Get("error") != "access_denied" {
		t.Errorf("%+v, %v", redirect, err)
	}
	w.redeem(w.code("admin", "scope", scope), "scope", scope).good(t)
}

func TestAddResource(t *testing.T) {
	w := start(t, entratest.Options{})
	w.AddResource(
		entratest.Resource{AppID: "5a1c6a3e-51c8-4f2b-b2f5-55c8a8d3b0aa",
			URIs: []string{"api://billing"}, Scopes: []string{"Bills.Read"}},
	)
	a := w.redeem(w.code("alice", "scope", "api://billing/Bills.Read"), "scope",
		"api://billing/Bills.Read").good(
		t,
	)
	if info, _ := w.Introspect(a.AccessToken); info.Audience != "api://billing" {
		t.Errorf("token is %+v", info)
	}
	redirect, err := w.SignIn(t.Context(), w.authURL("scope", "api://billing/.default"), "alice")
	if err != nil ||
		redirect.Params.Get("error") != "invalid_resource" { // nothing is registered for .default
		t.Errorf("%+v, %v", redirect, err)
	}
}
