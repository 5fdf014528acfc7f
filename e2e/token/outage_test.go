// SPDX-License-Identifier: MPL-2.0

package token

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// What can be wrong between Vault and Entra, each kind at an account of its own:
// what the reader is told while no good token is left, and that the account works
// again by itself once the trouble is over. None of it costs a refresh token: the
// simulator revokes the whole grant when a used one is presented.
func TestOutages(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	e.Configure(object{"request_timeout": "1s"})
	outages := []struct {
		name  string
		fault object
		says  string
	}{
		{"throttled", object{"status": 429, "retry_after": "3"}, "try again in 3s"},
		{"server error", object{"status": 500, "body": "<html>oh</html>"}, ""},
		{"no answer in time", object{"hang": true}, ""},
		{"connection cut", object{"drop": true}, ""},
		{"text instead of JSON", object{"status": 200, "body": "Service is healthy"}, ""},
		{"loops that Entra detects", object{"aadsts": 50196}, "AADSTS50196"},
	}
	accounts := e.ImportAccounts(len(outages))
	for i, outage := range outages {
		outage.fault["endpoint"], outage.fault["user"] = "token", accounts[i]
		e.Sim.Control("faults", outage.fault, nil)
	}
	harness.Until(t, e.ReadToken(accounts[len(accounts)-1]).Expires.Add(time.Second))

	var wg sync.WaitGroup
	for i, outage := range outages {
		wg.Go(func() {
			a, err := e.Try("GET", "entra/token/"+accounts[i], nil)
			if err != nil || a.Status != 502 || len(a.Errors) == 0 ||
				!strings.HasPrefix(a.Errors[0], "entra_unavailable: ") ||
				!strings.Contains(a.Errors[0], outage.says) {
				t.Errorf("%s: %v, %+v", outage.name, err, a)
			}
		})
	}
	wg.Wait()
	for i, outage := range outages {
		before := e.Sim.TokenRequests()
		e.Get("entra/token/"+accounts[i]).WantError(502, "entra_unavailable: ")
		if n := e.Sim.TokenRequests() - before; n != 0 {
			t.Errorf("%s: a read that follows asks Entra %d times", outage.name, n)
		}
		account := e.Get("entra/account/" + accounts[i]).Want(200)
		lastError, ok := account.Data["last_error"].(map[string]any)
		if account.Text("state") != "active" || !ok || lastError["class"] != "transient" {
			t.Errorf("%s: account %s", outage.name, account.Body)
		}
	}
	e.Sim.ClearFaults()
	e.WantAllGood(accounts)
}

// Entra is away for longer than a token lives. When it is back, the tokens in use
// are renewed though nobody asks.
func TestRecoversUnasked(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "6s")
	e.Configure(object{"background_refresh": true})
	accounts := e.ImportAccounts(5)
	e.Sim.Control("faults", object{"endpoint": "token", "status": 503}, nil)
	for _, name := range accounts {
		e.ReadToken(name) // they are in use
	}
	harness.Until(t, e.ExpireTime(accounts[0]).Add(3*time.Second))
	for _, name := range accounts {
		e.Get("entra/token/"+name).WantError(502, "entra_unavailable: ")
	}

	e.Sim.SetTokenLifetime("1h")
	e.Sim.ClearFaults()
	for _, name := range accounts {
		harness.Eventually(t, harness.UpTime, "the worker renews "+name, func() error {
			if expires := e.ExpireTime(name); time.Until(expires) < 0 {
				return fmt.Errorf("its token expired at %s", expires)
			}
			return nil
		})
	}
	before := e.Sim.TokenRequests()
	for _, name := range accounts {
		e.ReadToken(name)
	}
	if n := e.Sim.TokenRequests() - before; n != 0 {
		t.Errorf("%d token requests by the readers", n)
	}
}

// The client secret expires at Entra. Tokens that are good are served, no account
// is touched, the config says what is wrong, and a new secret at Entra ends it
// without a word to Vault.
func TestClientSecretExpires(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "1h")
	accounts := e.ImportAccounts(3)
	e.Sim.SetTokenLifetime("4s")
	e.Put("entra/refresh/"+accounts[0], nil).Want(200)
	e.Put("entra/refresh/"+accounts[1], nil).Want(200)
	e.Sim.Control("faults", object{"endpoint": "token", "aadsts": 7000222}, nil)
	harness.Until(t, e.ExpireTime(accounts[1]).Add(time.Second))

	before := e.Sim.TokenRequests()
	for range 5 {
		e.Get("entra/token/"+accounts[0]).WantError(502, "client_rejected: ")
		e.Get("entra/token/"+accounts[1]).WantError(502, "client_rejected: ")
		e.ReadToken(accounts[2])
	}
	if n := e.Sim.TokenRequests() - before; n != 1 {
		t.Errorf("%d token requests for 15 reads with a secret that Entra refuses, want 1", n)
	}
	clientError, ok := e.Get("entra/config").Want(200).Data["client_error"].(map[string]any)
	if !ok || clientError["code"] != "AADSTS7000222" {
		t.Errorf("client_error %v", clientError)
	}
	for _, name := range accounts {
		if state := e.Get("entra/account/" + name).Want(200).Text("state"); state != "active" {
			t.Errorf("%s is %s", name, state)
		}
	}
	e.Sim.ClearFaults()
	e.WantAllGood(accounts)
	clientError, ok = e.Get("entra/config").Want(200).Data["client_error"].(map[string]any)
	if !ok || len(clientError) > 0 {
		t.Errorf("client_error %v after it was mended", clientError)
	}
}

// Five hundred clients hang up while their tokens are being refreshed. The answers
// that nobody waits for any more are kept: a refresh token that was spent and lost
// would end its account under the strictest policy.
func TestClientsHangUp(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	accounts := e.ImportAccounts(10)
	harness.Until(t, e.ReadToken(accounts[9]).Expires.Add(time.Second))
	e.Sim.Control("reset", object{}, nil)
	e.Sim.SetTokenLifetime("1h")
	e.Sim.Control("faults", object{"endpoint": "token", "delay": "3s"}, nil)

	var wg sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for i := range 500 {
		wg.Go(func() {
			patience := time.Duration(200+rand.IntN(1500)) * time.Millisecond
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			address := e.Addr + "/v1/entra/token/" + accounts[i%10]
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("X-Vault-Token", e.Token)
			if resp, err := http.DefaultClient.Do(req); err == nil {
				resp.Body.Close()
				mu.Lock()
				served++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if served > 0 {
		t.Errorf("%d clients were answered before Entra had", served)
	}
	for _, name := range accounts {
		e.ReadToken(name)
	}
	if n := e.Sim.TokenRequests(); n != len(accounts) {
		t.Errorf("%d token requests for %d accounts", n, len(accounts))
	}
	e.Sim.ClearFaults()
	e.WantAllGood(accounts)
}

// Storage fails while Entra answers. The rotated refresh token is kept in memory,
// the new token is served, and all is written as soon as storage works again: then
// even a crash costs nothing.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	e.SignIn("alice", "alice")
	stored := e.Stored("account/alice")["refresh_token"]
	harness.Until(t, e.ReadToken("alice").Expires.Add(time.Second))

	e.Sim.SetTokenLifetime("1h")
	e.Sim.Control("faults", object{"endpoint": "token", "delay": "3s", "times": 1}, nil)
	before := e.Sim.TokenRequests()
	answers := make(chan *harness.Answer)
	go func() {
		defer close(answers)
		if a, err := e.Try("GET", "entra/token/alice", nil); err == nil {
			answers <- a
		}
	}()
	harness.Eventually(t, harness.UpTime, "Entra is asked", func() error {
		if e.Sim.TokenRequests() == before {
			return errors.New("not yet")
		}
		return nil
	})
	mend := breakStorage(e, "account")
	if a := <-answers; a == nil || a.Status != 200 || !e.Sim.Active(a.Text("access_token")) {
		t.Fatalf("the token that storage did not take is not served: %+v", a)
	}
	mend()
	if e.Stored("account/alice")["refresh_token"] != stored {
		t.Fatal("storage took the write: the test proves nothing")
	}
	harness.Eventually(t, harness.UpTime, "the refresh token is stored", func() error {
		if e.Stored("account/alice")["refresh_token"] == stored {
			return errors.New("it is the old one")
		}
		return nil
	})
	e.KillPlugin()
	e.WantAllGood([]string{"alice"})
}

// breakStorage makes what lies under a key of the engine's storage fail, by a file
// in the place of the directory. mend puts it back.
func breakStorage(e *harness.Engine, key string) (mend func()) {
	e.T.Helper()
	found, err := filepath.Glob(filepath.Join(e.DataDir(), "logical", "*", key))
	if err != nil || len(found) != 1 {
		e.T.Fatalf("%q, %v", found, err)
	}
	dir := found[0]
	if err := os.Rename(dir, dir+".away"); err != nil {
		e.T.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		e.T.Fatal(err)
	}
	return func() {
		e.T.Helper()
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
			e.T.Fatal(err)
		}
	}
}
