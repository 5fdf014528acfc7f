// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// fakeVault answers as the engine's mount does, and keeps what it was asked with.
type fakeVault struct {
	*httptest.Server
	mu       sync.Mutex
	asked    map[string]map[string]any // by path
	token    string                    // that it insists on; "" = none, as behind a Vault Agent
	redeem   chan struct{}             // callback answers when it is closed; nil = at once
	redeemed chan struct{}             // closed when the callback has come
}

func newFakeVault(t *testing.T) *fakeVault {
	t.Helper()
	v := &fakeVault{asked: map[string]map[string]any{}, redeemed: make(chan struct{})}
	v.Server = httptest.NewServer(v)
	t.Cleanup(v.Close)
	t.Setenv("VAULT_ADDR", v.URL)
	t.Setenv("VAULT_TOKEN", "the-token")
	t.Setenv("VAULT_AGENT_ADDR", "")
	t.Setenv("HOME", t.TempDir())
	return v
}

func (v *fakeVault) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/entra/")
	var fields map[string]any
	_ = json.NewDecoder(r.Body).Decode(&fields)
	v.mu.Lock()
	v.asked[path] = fields
	v.mu.Unlock()
	if v.token != "" && r.Header.Get("X-Vault-Token") != v.token {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `{"errors":["permission denied"]}`)
		return
	}
	data := map[string]any{}
	expiry := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
	switch path {
	case "login/alice":
		data["auth_url"] = "https://login.example/authorize?state=the-state"
		data["expire_time"] = expiry
	case "device/alice":
		data["user_code"], data["expire_time"], data["interval"] = "ABC", expiry, 60
	case "callback/alice":
		close(v.redeemed)
		if v.redeem != nil {
			select {
			case <-v.redeem:
			case <-r.Context().Done():
				return
			}
		}
		data["account"], data["username"] = "alice", "alice@contoso.example"
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func (v *fakeVault) fields(path string) map[string]any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[path]
}

// signsIn signs alice in, by what the person pastes if nothing else is asked for.
func signsIn(ctx context.Context, t *testing.T, opts Options) (*Result, string, error) {
	t.Helper()
	vault, err := vaultclient.New()
	if err != nil {
		t.Fatal(err)
	}
	opts.Account, opts.Mount = "alice", "entra"
	if opts.RedirectURI == "" {
		opts.RedirectURI = DefaultRedirectURI
	}
	var said strings.Builder
	in := strings.NewReader("http://localhost/callback?code=c&state=the-state\n")
	result, err := Run(ctx, vault, opts, in, &said)
	return result, said.String(), err
}

// class is the class of an error, -1 if it has none.
func class(err error) vaultclient.Class {
	var refused *vaultclient.Error
	if !errors.As(err, &refused) {
		return -1
	}
	return refused.Class
}

// TestTokenOfAnAgent checks that a token which a Vault Agent adds is not asked of the person, and
// that the want of one is said where Vault says it.
func TestTokenOfAnAgent(t *testing.T) {
	v := newFakeVault(t)
	t.Setenv("VAULT_TOKEN", "")
	if _, said, err := signsIn(t.Context(), t, Options{Paste: true}); err != nil {
		t.Errorf("behind an agent: %v %s", err, said)
	}
	v.token = "the-token"
	for token, text := range map[string]string{
		"": "there is no Vault token", "another": "Vault does not take the token any more",
	} {
		t.Setenv("VAULT_TOKEN", token)
		_, _, err := signsIn(t.Context(), t, Options{Paste: true})
		if class(err) != vaultclient.NoVaultToken || !strings.Contains(err.Error(), text) ||
			!strings.HasSuffix(err.Error(), "Run: vault login") {
			t.Errorf("with the token %q: %v", token, err)
		}
	}
}

// TestInterruptedWhileVaultRedeems checks that nobody is told that nothing was kept while Vault may
// be keeping it.
func TestInterruptedWhileVaultRedeems(t *testing.T) {
	v := newFakeVault(t)
	v.redeem = make(chan struct{})
	defer close(v.redeem)
	ctx, interrupt := context.WithCancel(t.Context())
	go func() {
		<-v.redeemed
		interrupt()
	}()
	_, said, err := signsIn(ctx, t, Options{Paste: true})
	if !errors.Is(err, Interrupted{HandedOver: true}) {
		t.Errorf("%v %s", err, said)
	}
	ctx, interrupt = context.WithCancel(t.Context())
	interrupt()
	if _, said, err := signsIn(ctx, t, Options{Paste: true}); !errors.Is(err, Interrupted{}) {
		t.Errorf("before: %v %s", err, said)
	}
}

// TestInterruptedDevice checks the same of a device code, which Vault goes on asking for.
func TestInterruptedDevice(t *testing.T) {
	newFakeVault(t)
	ctx, interrupt := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer interrupt()
	_, said, err := signsIn(ctx, t, Options{Device: true})
	if !errors.Is(err, Interrupted{HandedOver: true}) {
		t.Errorf("%v %s", err, said)
	}
}

// TestResponseMode checks that no code stands in the browser's history where a listener takes it,
// and that one which a person pastes stands in the address.
func TestResponseMode(t *testing.T) {
	v := newFakeVault(t)
	for _, uri := range []string{
		"http://localhost/callback", "https://login.microsoftonline.com/common/oauth2/nativeclient",
	} {
		v.redeemed = make(chan struct{})
		opts := Options{Paste: true, RedirectURI: uri}
		if _, said, err := signsIn(t.Context(), t, opts); err != nil {
			t.Errorf("%s: %v %s", uri, err, said)
		}
		if mode := v.fields("login/alice")["response_mode"]; mode != "query" {
			t.Errorf("%s is pasted from a %v", uri, mode)
		}
	}
	v.redeemed = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, _, err := signsIn(ctx, t, Options{NoBrowser: true})
		ended <- err
	}()
	deadline := time.Now().Add(10 * time.Second)
	for v.fields("login/alice")["response_mode"] == "query" && time.Now().Before(deadline) {
		time.Sleep(5 * time.Millisecond)
	}
	fields := v.fields("login/alice")
	if fields["response_mode"] != "form_post" {
		t.Errorf("the listener is sent a %v", fields["response_mode"])
		cancel()
	} else if resp, err := http.PostForm(fields["redirect_uri"].(string),
		url.Values{"code": {"c"}, "state": {"the-state"}}); err != nil || resp.StatusCode != 200 {
		t.Errorf("posted: %v, %v", resp, err)
		cancel()
	} else {
		resp.Body.Close()
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	cancel()
	if code := v.fields("callback/alice")["code"]; code != "c" {
		t.Errorf("handed over %v", code)
	}
}

// TestListenWithoutPath checks the redirect URI that Microsoft's own tools register.
func TestListenWithoutPath(t *testing.T) {
	l, err := listen("http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	go func() {
		_, _ = l.await(t.Context(), "the-state", func(context.Context, map[string]any) (*Result,
			error) {
			return &Result{Account: "alice", Username: "alice"}, nil
		})
	}()
	if status, page := knock(t, l.redirectURI+"?code=c&state=the-state"); status != 200 {
		t.Errorf("%d %s", status, page)
	}
	if strings.Count(l.redirectURI, "/") != 2 {
		t.Errorf("the redirect URI is %s", l.redirectURI)
	}
}

// TestBrowserWithArguments checks the forms that BROWSER takes for other programs.
func TestBrowserWithArguments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(t.TempDir(), "browser")
	spaced := filepath.Join(dir, "browser")
	seen := filepath.Join(t.TempDir(), "seen")
	script := "#!/bin/sh\nfor a in \"$@\"; do printf '%s\\n' \"$a\"; done > '" + seen + "'\n"
	for _, file := range []string{plain, spaced} {
		if err := os.WriteFile(file, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	const address = "https://login.example/a?b=c&d=e"
	for browser, want := range map[string]string{
		plain:                              address,
		spaced:                             address,
		plain + " --private-window":        "--private-window\n" + address,
		plain + " --url=%s -x":             "--url=" + address + "\n-x",
		"no-such-browser:" + plain + " -n": "-n\n" + address,
	} {
		_ = os.Remove(seen)
		t.Setenv("BROWSER", browser)
		opened := openBrowser(address)
		text, err := os.ReadFile(seen)
		if !opened || err != nil || strings.TrimSpace(string(text)) != want {
			t.Errorf("%s: opened %t, with %q, %v", browser, opened, text, err)
		}
	}
	t.Setenv("BROWSER", "no-such-browser --flag")
	if openBrowser(address) {
		t.Error("a browser that is not there was opened")
	}
}
