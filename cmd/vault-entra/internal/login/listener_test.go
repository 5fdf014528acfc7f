// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// knock opens an address and returns what a person would see.
func knock(t *testing.T, address string) (status int, page string) {
	t.Helper()
	resp, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// waiting is a listener that waits for state "the-state".
func waiting(
	t *testing.T,
	ctx context.Context,
	handOver func(context.Context, map[string]any) (*Result, error),
) (l *listener, ended chan outcome) {
	t.Helper()
	l, err := listen("http://localhost/callback")
	if err != nil {
		t.Fatal(err)
	}
	ended = make(chan outcome, 1)
	go func() {
		r, err := l.await(ctx, "the-state", handOver)
		l.close()
		ended <- outcome{r, err}
	}()
	return l, ended
}

// TestListener checks that what is not this login's answer changes nothing; what is, is handed
// over once, and the page says how it went.
func TestListener(t *testing.T) {
	handed := 0
	l, ended := waiting(
		t,
		context.Background(),
		func(_ context.Context, params map[string]any) (*Result, error) {
			handed++
			if params["code"] != "c" || params["state"] != "the-state" {
				t.Errorf("handed over %v", params)
			}
			return &Result{Account: "alice", Username: "<b>alice</b>"}, nil
		},
	)
	if !strings.HasPrefix(l.redirectURI, "http://localhost:") ||
		strings.HasSuffix(l.redirectURI, ":0/callback") {
		t.Fatalf("the redirect URI is %s", l.redirectURI)
	}
	for name, address := range map[string]string{
		"another path":    strings.TrimSuffix(l.redirectURI, "callback") + "favicon.ico",
		"another state":   l.redirectURI + "?code=c&state=other",
		"no state":        l.redirectURI + "?code=c",
		"state twice":     l.redirectURI + "?code=c&state=the-state&state=the-state",
		"code twice":      l.redirectURI + "?code=c&code=d&state=the-state",
		"an empty answer": l.redirectURI,
	} {
		if status, page := knock(t, address); status != 400 ||
			!strings.Contains(page, "Nothing waits for this") {
			t.Errorf("%s: %d %s", name, status, page)
		}
	}
	status, page := knock(t, l.redirectURI+"?code=c&state=the-state#")
	if status != 200 || !strings.Contains(page, "You are signed in") ||
		strings.Contains(page, "<b>") {
		t.Errorf("done: %d %s", status, page)
	}
	if o := <-ended; o.err != nil || o.result.Account != "alice" || handed != 1 {
		t.Errorf("ended with %v, %v; handed over %d times", o.result, o.err, handed)
	}
}

// TestListenerRefused checks that Vault's refusal is shown and ends the wait.
func TestListenerRefused(t *testing.T) {
	l, ended := waiting(
		t,
		context.Background(),
		func(_ context.Context, params map[string]any) (*Result, error) {
			if params["error"] != "access_denied" {
				t.Errorf("handed over %v", params)
			}
			return nil, refused("login_failed: declined")
		},
	)
	if status, page := knock(t,
		l.redirectURI+"?error=access_denied&state=the-state"); status != 502 ||
		!strings.Contains(page, "login_failed: declined") {
		t.Errorf("%d %s", status, page)
	}
	if o := <-ended; class(o.err) != vaultclient.Failed {
		t.Errorf("ended with %v", o.err)
	}
}

// TestListenerBrowserNeverReturns checks that the wait ends with the login, or with Ctrl-C.
func TestListenerBrowserNeverReturns(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, ended := waiting(t, ctx, nil)
	if o := <-ended; o.err == nil || !strings.Contains(o.err.Error(), "did not come back") {
		t.Errorf("ended with %v", o.err)
	}
	ctx, interrupt := context.WithCancel(context.Background())
	_, ended = waiting(t, ctx, nil)
	interrupt()
	if o := <-ended; !errors.Is(o.err, context.Canceled) {
		t.Errorf("ended with %v", o.err)
	}
}

func TestListenBadInput(t *testing.T) {
	taken, err := listen("http://127.0.0.1/callback")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.close()
	for uri, text := range map[string]string{
		"https://localhost/callback":  "not a loopback URI",
		"http://vault.example.com/cb": "not on this machine",
		"http://localhost:70000/cb":   "cannot wait for the browser",
		"%zz":                         "not a loopback URI",
		taken.redirectURI:             "another port can be given by -redirect-uri",
	} {
		if l, err := listen(uri); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, %v", uri, l, err)
		}
	}
}
