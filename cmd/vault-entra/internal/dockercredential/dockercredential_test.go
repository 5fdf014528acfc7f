// SPDX-License-Identifier: MPL-2.0

package dockercredential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docker/docker-credential-helpers/credentials"
)

// vault stands for where tokens come from, and remembers the registries that were asked for.
type vault struct {
	err   error
	asked []string
}

func (v *vault) Token(_ context.Context, registry string) (*Token, error) {
	v.asked = append(v.asked, registry)
	if !strings.HasSuffix(registry, ".azurecr.io") && registry != "registry.example:5000" {
		return nil, nil
	}
	return &Token{Access: "an.access.token", TenantID: "a tenant"}, v.err
}

func (v *vault) Registries() ([]string, error) { return []string{"registry.example:5000"}, nil }

// registry answers as Azure Container Registry does, under every name.
func registry(t *testing.T, answer http.HandlerFunc) *Exchange {
	t.Helper()
	server := httptest.NewTLSServer(answer)
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	transport.TLSClientConfig.ServerName = "example.com" // of httptest's certificate
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}
	return NewExchange(transport)
}

func exchange(w http.ResponseWriter, r *http.Request) {
	service := r.Host
	if r.Method != http.MethodPost || r.URL.Path != "/oauth2/exchange" || r.URL.RawQuery != "" ||
		r.Header.Get("Authorization") != "" || r.PostFormValue("grant_type") != "access_token" ||
		r.PostFormValue("access_token") != "an.access.token" ||
		r.PostFormValue("tenant") != "a tenant" || r.PostFormValue("service") != service {
		http.Error(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "not so"}]}`, http.StatusUnauthorized)
		return
	}
	fmt.Fprintf(w, `{"refresh_token": "for %s"}`, service)
}

func run(t *testing.T, v *vault, e *Exchange, action, in string) (string, error) {
	t.Helper()
	h := &Helper{Tokens: v, Exchange: e, Version: "v1.2.3"}
	var out strings.Builder
	err := h.Run(t.Context(), action, strings.NewReader(in), &out)
	return out.String(), err
}

// get changes a token for one of the registry's, under any way to write its address.
func TestGet(t *testing.T) {
	e := registry(t, exchange)
	for address, host := range map[string]string{
		"contoso.azurecr.io":                "contoso.azurecr.io",
		"contoso-abc.azurecr.io\n":          "contoso-abc.azurecr.io",
		"https://contoso.azurecr.io":        "contoso.azurecr.io",
		"https://contoso.azurecr.io/v2/":    "contoso.azurecr.io",
		"registry.example:5000":             "registry.example:5000",
		"https://registry.example:5000/v1/": "registry.example:5000",
		"contoso.azurecr.io/team/tool":      "contoso.azurecr.io",
	} {
		v := &vault{}
		out, err := run(t, v, e, "get", address)
		var got credentials.Credentials
		if err != nil || json.Unmarshal([]byte(out), &got) != nil ||
			got.Username != "00000000-0000-0000-0000-000000000000" ||
			got.Secret != "for "+host || got.ServerURL != strings.TrimSpace(address) {
			t.Errorf("%q: %s, %v", address, out, err)
		}
		if len(v.asked) != 1 || v.asked[0] != host {
			t.Errorf("%q: asked for %q", address, v.asked)
		}
	}
}

// Of other registries nothing is said, in the words that docker takes for it.
func TestOtherRegistries(t *testing.T) {
	for _, address := range []string{
		"https://index.docker.io/v1/", "azurecr.io", "contoso.azurecr.io.evil.example",
		"evil.example/contoso.azurecr.io", "contoso.azurecr.io@evil.example",
		"https://a:b@contoso.azurecr.io", "http://contoso.azurecr.io", "contoso.azurecr.io:8443",
		"registry.example", "https://evil.example#.azurecr.io", "%zz.azurecr.io",
	} {
		v := &vault{}
		out, err := run(t, v, nil, "get", address)
		if !credentials.IsErrCredentialsNotFoundMessage(out) || err == nil {
			t.Errorf("%q: %q, %v, asked for %q", address, out, err, v.asked)
		}
	}
}

// What fails is told on standard output, where docker looks.
func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"refused": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"errors": [{"code": "UNAUTHORIZED", "message": "no pull role"}]}`)
		}, "refuses the token: status 401, UNAUTHORIZED: no pull role"},
		"refused without a word": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}, "status 503"},
		"not a registry": {func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, "<html>hello")
		}, "no refresh_token"},
		"sent elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://contoso.azurecr.cn/oauth2/exchange",
				http.StatusTemporaryRedirect)
		}, "status 307"},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			e := registry(t, func(w http.ResponseWriter, r *http.Request) { calls++; c.answer(w, r) })
			out, err := run(t, &vault{}, e, "get", "contoso.azurecr.io")
			if err == nil || !strings.Contains(out, c.says) || strings.Contains(out, "an.access") ||
				calls != 1 {
				t.Errorf("%d calls: %q, %v", calls, out, err)
			}
		})
	}
	login := errors.New("login_required: run vault-entra login alice")
	out, err := run(t, &vault{err: login}, nil, "get", "contoso.azurecr.io")
	if !errors.Is(err, login) || out != login.Error()+"\n" {
		t.Errorf("login required: %q, %v", out, err)
	}
}

// The other actions store nothing, and say so.
func TestOtherActions(t *testing.T) {
	v := &vault{}
	for action, c := range map[string]struct{ in, out string }{
		"list":    {"", `{"registry.example:5000":"00000000-0000-0000-0000-000000000000"}`},
		"erase":   {"contoso.azurecr.io", ""},
		"version": {"", "docker-credential-vault-entra v1.2.3"},
	} {
		out, err := run(t, v, nil, action, c.in)
		if err != nil || strings.TrimSpace(out) != c.out {
			t.Errorf("%s: %q, %v", action, out, err)
		}
	}
	for action, in := range map[string]string{
		"store": `{"ServerURL": "contoso.azurecr.io", "Username": "a", "Secret": "b"}`, "make": "",
		"get": " \n",
	} {
		out, err := run(t, v, nil, action, in)
		if err == nil || strings.TrimSpace(out) != err.Error() {
			t.Errorf("%s: %q, %v", action, out, err)
		}
	}
	if v.asked != nil {
		t.Errorf("asked for %q", v.asked)
	}
}
