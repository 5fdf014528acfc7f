// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"encoding/json"
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

// pasted runs the command with -print and an answer to paste.
func pasted(ctx context.Context, args ...string) (exit int, said string) {
	var out strings.Builder
	in := strings.NewReader("http://localhost/callback?code=c&state=the-state\n")
	exit = run(ctx, append(args, "-print", "alice"), in, &out, &out)
	return exit, out.String()
}

// TestTokenOfAnAgent checks that a token which a Vault Agent adds is not asked of the person, and
// that the want of one is said where Vault says it.
func TestTokenOfAnAgent(t *testing.T) {
	v := newFakeVault(t)
	t.Setenv("VAULT_TOKEN", "")
	if exit, said := pasted(t.Context()); exit != 0 {
		t.Errorf("behind an agent: %d %s", exit, said)
	}
	v.token = "the-token"
	if exit, said := pasted(t.Context()); exit != exitLocal ||
		!strings.Contains(said, "no Vault token") {
		t.Errorf("without an agent: %d %s", exit, said)
	}
	t.Setenv("VAULT_TOKEN", "another")
	if exit, said := pasted(t.Context()); exit != exitRemote ||
		!strings.Contains(said, "permission denied") {
		t.Errorf("with a bad token: %d %s", exit, said)
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
	exit, said := pasted(ctx)
	if exit != exitInterrupted || strings.Contains(said, "Nothing was kept") ||
		!strings.Contains(said, "vault read entra/login/alice") {
		t.Errorf("%d %s", exit, said)
	}
	ctx, interrupt = context.WithCancel(t.Context())
	interrupt()
	if exit, said := pasted(ctx); exit != exitInterrupted ||
		!strings.Contains(said, "Nothing was kept") {
		t.Errorf("before: %d %s", exit, said)
	}
}

// TestInterruptedDevice checks the same of a device code, which Vault goes on asking for.
func TestInterruptedDevice(t *testing.T) {
	newFakeVault(t)
	ctx, interrupt := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer interrupt()
	var out strings.Builder
	exit := run(ctx, []string{"-device", "alice"}, nil, &out, &out)
	if exit != exitInterrupted || strings.Contains(out.String(), "Nothing was kept") ||
		!strings.Contains(out.String(), "vault read entra/login/alice") {
		t.Errorf("%d %s", exit, out.String())
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
		if exit, said := pasted(t.Context(), "-redirect-uri", uri); exit != 0 {
			t.Errorf("%s: %d %s", uri, exit, said)
		}
		if mode := v.fields("login/alice")["response_mode"]; mode != "query" {
			t.Errorf("%s is pasted from a %v", uri, mode)
		}
	}
	v.redeemed = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	go func() {
		var out strings.Builder
		ended <- run(ctx, []string{"-no-browser", "alice"}, nil, &out, &out)
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
	if exit := <-ended; exit != 0 {
		t.Errorf("it ended with %d", exit)
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
		_, _ = l.await(t.Context(), "the-state", func(context.Context, map[string]any) (*result,
			error) {
			return &result{Account: "alice", Username: "alice"}, nil
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
