// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestCounts(t *testing.T) {
	w := start(t, entratest.Options{})
	alice := w.signIn("alice").RefreshToken
	w.signIn("bob")
	w.refresh(alice).good(t)
	w.refresh("made-up").refused(t, 400, "invalid_grant", 9002313)
	c := w.Counts()
	if c.Requests[entratest.Token] != 4 || c.Requests[entratest.Authorize] != 2 ||
		c.Grants["authorization_code"] != 2 || c.Grants["refresh_token"] != 2 ||
		c.Users["alice@contoso.example"] != 2 || c.Users["bob@contoso.example"] != 1 ||
		c.Succeeded != 3 ||
		c.Failed != 1 ||
		c.Dropped != 0 ||
		c.MaxConcurrent != 1 {
		t.Errorf("counts %+v", c)
	}
	if n := w.Count(entratest.Match{GrantType: "refresh_token", User: "alice"}); n != 1 {
		t.Errorf("%d refreshes of alice", n)
	}
	w.ResetCounts()
	if c := w.Counts(); c.Requests[entratest.Token] != 0 || len(w.Requests()) != 0 {
		t.Errorf("after a reset: %+v", c)
	}
}

func TestConcurrencyIsCounted(t *testing.T) {
	w := start(t, entratest.Options{})
	alice, bob := w.signIn("alice").RefreshToken, w.signIn("bob").RefreshToken
	w.ResetCounts()
	release := make(chan struct{})
	w.Faults.Add(entratest.Fault{Match: onRefresh, Until: release})
	var wg sync.WaitGroup
	for _, token := range []string{alice, alice, bob} {
		wg.Go(func() {
			if _, err := w.send(t.Context(), w.tokenPath(), w.refreshForm(token)); err != nil {
				t.Error(err)
			}
		})
	}
	if err := w.Await(t.Context(), onRefresh, 3); err != nil {
		t.Fatal(err)
	}
	close(release)
	wg.Wait()
	if c := w.Counts(); c.MaxConcurrent != 3 || c.MaxFamilyConcurrent != 2 || c.Succeeded != 3 {
		t.Errorf("counts %+v", c)
	}
}

func TestAwaitGivesUp(t *testing.T) {
	w := start(t, entratest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Await(ctx, onRefresh, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTheLogHoldsNoSecrets(t *testing.T) {
	for name, kept := range map[string]bool{"by default": false, "when asked to": true} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{LogSecrets: kept})
			code := w.code("alice")
			token := w.redeem(code).good(t).RefreshToken
			w.refresh(token)
			requests := w.Requests()
			redemption, refresh := requests[len(requests)-2], requests[len(requests)-1]
			if refresh.ClientID != w.App.ClientID ||
				!strings.Contains(refresh.Scope, "User.Read") ||
				refresh.Status != 200 ||
				!refresh.Done ||
				refresh.CorrelationID == "" {
				t.Errorf("request %+v", refresh)
			}
			for secret, logged := range map[string]string{
				code: redemption.Params["code"], verifier: redemption.Params["code_verifier"],
				w.App.Secret(): redemption.Params["client_secret"],
				token:          refresh.Params["refresh_token"],
			} {
				if kept && logged != secret || !kept && logged != "[redacted]" {
					t.Errorf("logged as %.30s", logged)
				}
			}
		})
	}
}

func TestRefusalsAreLogged(t *testing.T) {
	w := start(t, entratest.Options{})
	w.refresh("made-up", "client_secret", "wrong")
	requests := w.Requests()
	if last := requests[len(requests)-1]; last.Status != 401 || last.Error != "invalid_client" ||
		last.AADSTS != 7000215 {
		t.Errorf("request %+v", last)
	}
}
