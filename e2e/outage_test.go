// SPDX-License-Identifier: MPL-2.0

package e2e

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
)

// What can be wrong between Vault and Entra, each kind at an account of its own:
// what the reader is told while no good token is left, and that the account works
// again by itself once the trouble is over. None of it costs a refresh token: the
// simulator revokes the whole grant when a used one is presented.
func TestOutages(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	e.configure(object{"request_timeout": "1s"})
	outages := []struct {
		name  string
		fault object
		says  string
	}{
		{"throttled", object{"status": 429, "retry_after": "3"}, "3"},
		{"server error", object{"status": 500, "body": "<html>oh</html>"}, ""},
		{"no answer in time", object{"hang": true}, ""},
		{"connection cut", object{"drop": true}, ""},
		{"text instead of JSON", object{"status": 200, "body": "Service is healthy"}, ""},
		{"loops that Entra detects", object{"aadsts": 50196}, "AADSTS50196"},
	}
	accounts := e.importAccounts(len(outages))
	for i, outage := range outages {
		outage.fault["endpoint"], outage.fault["user"] = "token", accounts[i]
		e.sim.control("faults", outage.fault, nil)
	}
	until(t, e.readToken(accounts[len(accounts)-1]).expires.Add(time.Second))

	var wg sync.WaitGroup
	for i, outage := range outages {
		wg.Go(func() {
			a, err := e.try("GET", "entra/token/"+accounts[i], nil)
			if err != nil || a.status != 502 || len(a.Errors) == 0 || !strings.HasPrefix(a.Errors[0], "entra_unavailable: ") || !strings.Contains(a.Errors[0], outage.says) {
				t.Errorf("%s: %v, %+v", outage.name, err, a)
			}
		})
	}
	wg.Wait()
	for i, outage := range outages {
		before := e.sim.tokenRequests()
		e.get("entra/token/"+accounts[i]).wantError(502, "entra_unavailable: ")
		if n := e.sim.tokenRequests() - before; n != 0 {
			t.Errorf("%s: a read that follows asks Entra %d times", outage.name, n)
		}
		account := e.get("entra/account/" + accounts[i]).want(200)
		if lastError, ok := account.Data["last_error"].(map[string]any); account.text("state") != "active" || !ok || lastError["class"] != "transient" {
			t.Errorf("%s: account %s", outage.name, account.body)
		}
	}
	e.sim.clearFaults()
	e.wantAllGood(accounts)
}

// Entra is away for longer than a token lives. When it is back, the tokens in use
// are renewed though nobody asks.
func TestRecoversUnasked(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "6s")
	e.configure(object{"background_refresh": true})
	accounts := e.importAccounts(5)
	e.sim.control("faults", object{"endpoint": "token", "status": 503}, nil)
	for _, name := range accounts {
		e.readToken(name) // they are in use
	}
	until(t, e.get("entra/account/"+accounts[0]).want(200).time("expire_time").Add(3*time.Second))
	for _, name := range accounts {
		e.get("entra/token/"+name).wantError(502, "entra_unavailable: ")
	}

	e.sim.tokenLifetime("1h")
	e.sim.clearFaults()
	for _, name := range accounts {
		eventually(t, upTime, "the worker renews "+name, func() error {
			if expires := e.get("entra/account/" + name).want(200).time("expire_time"); time.Until(expires) < 0 {
				return fmt.Errorf("its token expired at %s", expires)
			}
			return nil
		})
	}
	before := e.sim.tokenRequests()
	for _, name := range accounts {
		e.readToken(name)
	}
	if n := e.sim.tokenRequests() - before; n != 0 {
		t.Errorf("%d token requests by the readers", n)
	}
}

// The client secret expires at Entra. Tokens that are good are served, no account
// is touched, the config says what is wrong, and a new secret at Entra ends it
// without a word to Vault.
func TestClientSecretExpires(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "1h")
	accounts := e.importAccounts(3)
	e.sim.tokenLifetime("4s")
	e.put("entra/refresh/"+accounts[0], nil).want(200)
	e.put("entra/refresh/"+accounts[1], nil).want(200)
	e.sim.control("faults", object{"endpoint": "token", "aadsts": 7000222}, nil)
	until(t, e.get("entra/account/"+accounts[1]).want(200).time("expire_time").Add(time.Second))

	before := e.sim.tokenRequests()
	for range 5 {
		e.get("entra/token/"+accounts[0]).wantError(502, "client_rejected: ")
		e.get("entra/token/"+accounts[1]).wantError(502, "client_rejected: ")
		e.readToken(accounts[2])
	}
	if n := e.sim.tokenRequests() - before; n != 1 {
		t.Errorf("%d token requests for 15 reads with a secret that Entra refuses, want 1", n)
	}
	clientError, ok := e.get("entra/config").want(200).Data["client_error"].(map[string]any)
	if !ok || clientError["code"] != "AADSTS7000222" {
		t.Errorf("client_error %v", clientError)
	}
	for _, name := range accounts {
		if state := e.get("entra/account/" + name).want(200).text("state"); state != "active" {
			t.Errorf("%s is %s", name, state)
		}
	}
	e.sim.clearFaults()
	e.wantAllGood(accounts)
	if clientError, ok = e.get("entra/config").want(200).Data["client_error"].(map[string]any); !ok || len(clientError) > 0 {
		t.Errorf("client_error %v after it was mended", clientError)
	}
}

// Five hundred clients hang up while their tokens are being refreshed. The answers
// that nobody waits for any more are kept: a refresh token that was spent and lost
// would end its account under the strictest policy.
func TestClientsHangUp(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	accounts := e.importAccounts(10)
	until(t, e.readToken(accounts[9]).expires.Add(time.Second))
	e.sim.control("reset", object{}, nil)
	e.sim.tokenLifetime("1h")
	e.sim.control("faults", object{"endpoint": "token", "delay": "3s"}, nil)

	var wg sync.WaitGroup
	var mu sync.Mutex
	served := 0
	for i := range 500 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(200+rand.IntN(1500))*time.Millisecond)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.addr+"/v1/entra/token/"+accounts[i%10], nil)
			if err != nil {
				t.Error(err)
				return
			}
			req.Header.Set("X-Vault-Token", e.token)
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
		e.readToken(name)
	}
	if n := e.sim.tokenRequests(); n != len(accounts) {
		t.Errorf("%d token requests for %d accounts", n, len(accounts))
	}
	e.sim.clearFaults()
	e.wantAllGood(accounts)
}

// Storage fails while Entra answers. The rotated refresh token is kept in memory,
// the new token is served, and all is written as soon as storage works again: then
// even a crash costs nothing.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-rotation", "revoke-family", "-token-lifetime", "4s")
	e.signIn("alice", "alice")
	stored := e.stored("account/alice")["refresh_token"]
	until(t, e.readToken("alice").expires.Add(time.Second))

	e.sim.tokenLifetime("1h")
	e.sim.control("faults", object{"endpoint": "token", "delay": "3s", "times": 1}, nil)
	before := e.sim.tokenRequests()
	answers := make(chan *answer)
	go func() {
		defer close(answers)
		if a, err := e.try("GET", "entra/token/alice", nil); err == nil {
			answers <- a
		}
	}()
	eventually(t, upTime, "Entra is asked", func() error {
		if e.sim.tokenRequests() == before {
			return errors.New("not yet")
		}
		return nil
	})
	mend := e.breakStorage("account")
	if a := <-answers; a == nil || a.status != 200 || !e.sim.active(a.text("access_token")) {
		t.Fatalf("the token that storage did not take is not served: %+v", a)
	}
	mend()
	if e.stored("account/alice")["refresh_token"] != stored {
		t.Fatal("storage took the write: the test proves nothing")
	}
	eventually(t, upTime, "the refresh token is stored", func() error {
		if e.stored("account/alice")["refresh_token"] == stored {
			return errors.New("it is the old one")
		}
		return nil
	})
	e.killPlugin()
	e.wantAllGood([]string{"alice"})
}

// breakStorage makes what lies under a key of the engine's storage fail, by a file
// in the place of the directory. mend puts it back.
func (e *engine) breakStorage(key string) (mend func()) {
	e.t.Helper()
	found, err := filepath.Glob(filepath.Join(e.dataDir(), "logical", "*", key))
	if err != nil || len(found) != 1 {
		e.t.Fatalf("%q, %v", found, err)
	}
	dir := found[0]
	if err := os.Rename(dir, dir+".away"); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		e.t.Fatal(err)
	}
	return func() {
		e.t.Helper()
		if err := errors.Join(os.Remove(dir), os.Rename(dir+".away", dir)); err != nil {
			e.t.Fatal(err)
		}
	}
}
