// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestRefreshNeedsAScope(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	w.refresh(token, "scope", "").refused(t, 400, "invalid_request", 90009)
	w.refresh(token).good(t)
}

func TestRotation(t *testing.T) {
	for name, test := range map[string]struct {
		rotation         entratest.Rotation
		oldGood, newGood bool // after the old one was presented again
	}{
		"as Entra does":       {"", true, true},
		"old one refused":     {entratest.RotateRefuseOld, false, true},
		"reuse ends them all": {entratest.RotateRevokeFamily, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{Rotation: test.rotation})
			old := w.signIn("alice").RefreshToken
			fresh := w.refresh(old).good(t).RefreshToken
			if fresh == "" || fresh == old {
				t.Fatal("the refresh token was not replaced")
			}
			check := func(token string, good bool) {
				t.Helper()
				if a := w.refresh(token); good {
					a.good(t)
				} else {
					a.refused(t, 400, "invalid_grant", 0)
				}
			}
			check(old, test.oldGood)
			check(fresh, test.newGood)
		})
	}
	t.Run("a family is one sign-in", func(t *testing.T) {
		w := start(t, entratest.Options{})
		w.SetRotation(entratest.RotateRevokeFamily)
		first, second := w.signIn("alice").RefreshToken, w.signIn("alice").RefreshToken
		w.refresh(first).good(t)
		w.refresh(first).refused(t, 400, "invalid_grant", 0)
		w.refresh(second).good(t)
	})
	t.Run("of many at once only one", func(t *testing.T) {
		w := start(t, entratest.Options{Rotation: entratest.RotateRefuseOld})
		token := w.signIn("alice").RefreshToken
		w.ResetCounts()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := w.send(t.Context(), w.tokenPath(), w.refreshForm(token)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if c := w.Counts(); c.Succeeded != 1 || c.Failed != 19 {
			t.Errorf("%d succeeded, %d failed", c.Succeeded, c.Failed)
		}
	})
}

func TestARefusedRefreshUsesNothingUp(t *testing.T) {
	w := start(t, entratest.Options{Rotation: entratest.RotateRevokeFamily})
	token := w.signIn("alice").RefreshToken
	w.refresh(token, "scope", "Mail.Send").refused(t, 400, "invalid_grant", 65001)
	w.refresh(token, "client_secret", "wrong").refused(t, 401, "invalid_client", 7000215)
	w.refresh(token).good(t)
}

func TestOneRefreshTokenForEveryResource(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.redeem(w.code("alice", "scope", allScopes+" "+arm+"//user_impersonation")).good(
		t).RefreshToken
	a := w.refresh(token, "scope", "openid offline_access "+arm+"//.default").good(t)
	if info, _ := w.Introspect(a.AccessToken); info.Audience != arm+"/" || !info.Active {
		t.Errorf("token is %+v", info)
	}
	w.refresh(token, "scope", "https://vault.azure.net/user_impersonation").refused(t, 400,
		"invalid_grant", 65001)
	w.refresh(token, "scope", "https://nothing.example/Read").refused(t, 400, "invalid_resource",
		500011)
	w.refresh(token, "scope", "User.Read "+arm+"//user_impersonation").refused(t, 400,
		"invalid_scope", 28000)
}

func TestRefreshTokenRefusals(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	w.refresh(token, "client_id", w.PublicApp.ClientID, "client_secret", "").refused(t, 401,
		"invalid_client", 7000218)
	other, err := w.AddApp(
		entratest.App{Secrets: []entratest.Secret{{Value: "s"}}, RedirectURIs: w.App.RedirectURIs})
	if err != nil {
		t.Fatal(err)
	}
	w.refresh(token, "client_id", other.ClientID, "client_secret", "s").refused(t, 400,
		"invalid_grant", 70000)
	w.refresh("1.AXo-made-up").refused(t, 400, "invalid_grant", 70000)
	w.refresh("garbage").refused(t, 400, "invalid_grant", 9002313)
	w.refresh("").refused(t, 400, "invalid_request", 900144)
}

func TestRefreshTokenInactivity(t *testing.T) {
	t.Run("ninety days", func(t *testing.T) {
		w := start(t, entratest.Options{})
		token := w.signIn("alice").RefreshToken
		w.clock.advance(90*24*time.Hour - time.Second)
		token = w.refresh(token).good(t).RefreshToken
		w.clock.advance(90 * 24 * time.Hour)
		w.refresh(token).refused(t, 400, "invalid_grant", 700082)
		if live := w.RefreshTokens("alice"); len(live) != 0 {
			t.Errorf("still live: %v", live)
		}
	})
	t.Run("a set time", func(t *testing.T) {
		w := start(t,
			entratest.Options{Lifetimes: entratest.Lifetimes{RefreshToken: 12 * time.Hour}})
		token := w.signIn("alice").RefreshToken
		w.clock.advance(12 * time.Hour)
		w.refresh(token).refused(t, 400, "invalid_grant", 700082)
	})
	t.Run("by a test", func(t *testing.T) {
		w := start(t, entratest.Options{})
		token, bobs := w.signIn("alice").RefreshToken, w.signIn("bob").RefreshToken
		if err := w.ExpireRefreshTokens("alice"); err != nil {
			t.Fatal(err)
		}
		w.refresh(token).refused(t, 400, "invalid_grant", 700082)
		w.refresh(bobs).good(t)
		w.refresh(w.signIn("alice").RefreshToken).good(t)
		if err := w.ExpireRefreshTokens("nobody"); err == nil {
			t.Error("an unknown user's tokens expired")
		}
	})
}

func TestIssueRefreshToken(t *testing.T) {
	w := start(t, entratest.Options{})
	token, err := w.IssueRefreshToken("bob", w.App.ClientID, entratest.Web, "User.Read",
		"offline_access")
	if err != nil {
		t.Fatal(err)
	}
	live := w.RefreshTokens("bob")
	if len(live) != 1 || live[0].Token != token || live[0].Username != "bob@contoso.example" ||
		live[0].Platform != entratest.Web {
		t.Errorf("live tokens %+v", live)
	}
	w.refresh(token).good(t)
	for name, try := range map[string]func() (string, error){
		"unknown user": func() (string, error) {
			return w.IssueRefreshToken("nobody", w.App.ClientID, entratest.Web, "User.Read")
		},
		"unknown app": func() (string,
			error) {
			return w.IssueRefreshToken("bob", "nobody", entratest.Web, "User.Read")
		},
		"other platform": func() (string,
			error) {
			return w.IssueRefreshToken("bob", w.App.ClientID, entratest.SPA,
				"User.Read")
		},
		"unknown scope": func() (string,
			error) {
			return w.IssueRefreshToken("bob", w.App.ClientID, entratest.Web, "No.Such")
		},
		"admin's consent": func() (string, error) {
			return w.IssueRefreshToken("bob", w.App.ClientID, entratest.Web, "User.Read.All")
		},
	} {
		if _, err := try(); err == nil {
			t.Errorf("%s: a token was issued", name)
		}
	}
}
