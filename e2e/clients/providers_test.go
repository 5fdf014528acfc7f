// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// startProvider starts a provider that listens on its own port and sends people
// back to loopbackURL.
func startProvider(t testing.TB, name string, args ...string) (issuer string) {
	t.Helper()
	port := fmt.Sprint(harness.FreePort(t))
	log := filepath.Join(t.TempDir(), "log")
	p := harness.StartProcess(t, log, nil, name, append(args, port, harness.LoopbackURL)...)
	issuer = "http://localhost:" + port
	harness.Eventually(t, harness.UpTime, "the provider comes up", func() error {
		if p.Ended() {
			out, _ := os.ReadFile(log)
			t.Fatalf("the provider ended: %s", out)
		}
		resp, err := http.Get(issuer + "/.well-known/openid-configuration")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			return fmt.Errorf("status %d", resp.StatusCode)
		}
		return nil
	})
	return issuer
}

// zitadel starts the example provider of github.com/zitadel/oidc.
func zitadel(t testing.TB) (issuer string) {
	t.Helper()
	return startProvider(t, harness.Program(t, "zitadel"))
}

// oidcProvider installs and starts npm's oidc-provider.
func oidcProvider(t testing.TB) (issuer string) {
	t.Helper()
	dir := harness.NPMProgram(t, harness.Path("e2e", "providers", "oidc-provider"))
	return startProvider(t, "node", filepath.Join(dir, "server.mjs"))
}

// signInAt drives a provider's own pages until it sends the browser back. Every
// form gets whatever of fill its fields ask for.
func signInAt(t testing.TB, authURL string, fill url.Values) (redirected string) {
	t.Helper()
	b := harness.NewPlainBrowser(t)
	page := b.Open(authURL)
	for range 20 {
		switch {
		case strings.HasPrefix(page.Location, harness.LoopbackURL):
			return page.Location
		case page.Location != "":
			next, err := page.URL.Parse(page.Location)
			if err != nil {
				t.Fatal(err)
			}
			page = b.Open(next.String())
		case page.Form != nil && page.Status < 400:
			page.Form.Method = strings.ToLower(page.Form.Method)
			page = b.Submit(page, fill)
		default:
			t.Fatalf("the provider says at %s: %d %s", page.URL, page.Status, page.Text)
		}
	}
	t.Fatal("the provider's pages do not come to an end")
	return ""
}

// Two providers that have nothing to do with us, and that bracket what a provider
// can do with a used refresh token: refuse it, or end the whole grant.
func TestOtherProviders(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		start func(testing.TB) string
		extra object
		fill  url.Values
		user  string
	}{
		"zitadel": {
			start: zitadel,
			fill:  url.Values{"username": {"test-user@localhost"}, "password": {"verysecure"}},
			user:  "id1", // its ID token has no name in it, so the subject counts
		},
		"oidc-provider": {
			start: oidcProvider,
			extra: object{"authorize_params": "prompt=consent"}, // its refresh tokens need it
			fill:  url.Values{"login": {"alice"}, "password": {"any"}},
			user:  "alice@provider.example",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			issuer := test.start(t)
			s := harness.NewServer(t)
			config := object{
				"authority_url": issuer, "client_id": "vault",
				"client_secret": "the-secret-of-the-tests-client",
				"redirect_uris": harness.LoopbackURL, "scopes": "",
			}
			for field, value := range test.extra {
				config[field] = value
			}
			s.Put("entra/config", config).Want(204)
			login := s.Put("entra/login/alice", nil).Want(200)
			redirected := signInAt(t, login.Text("auth_url"), test.fill)
			done := s.Put("entra/callback/alice", object{"url": redirected}).Want(200)
			if done.Text("username") != test.user {
				t.Errorf("signed in as %s", done.Text("username"))
			}
			last := s.Get("entra/token/alice").Want(200).Text("access_token")
			for round := range 4 {
				if round == 2 {
					s.ReloadPlugin()
				}
				// Many at once share one refresh; a used refresh token never goes out.
				var callers sync.WaitGroup
				for range 10 {
					callers.Go(func() {
						a, err := s.Try("PUT", "entra/refresh/alice", nil)
						if err != nil || a.Status != 200 {
							t.Errorf("refresh: %v, %s", err, a.Body)
						}
					})
				}
				callers.Wait()
				now := s.Get("entra/token/alice").Want(200).Text("access_token")
				if now == last {
					t.Error("the token is the same after a refresh")
				}
				last = now
				time.Sleep(1100 * time.Millisecond) // a forced refresh counts for a second
			}
			// Someone else's account is refused, and the grant goes on.
			if state := s.Get("entra/account/alice").Want(200).Text("state"); state != "active" {
				t.Errorf("the account is %s", state)
			}
		})
	}
}
