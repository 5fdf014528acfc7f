// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

const (
	redirectURI = "http://localhost:8400/callback"
	verifier    = "a-verifier-of-more-than-forty-three-characters-0123"
	allScopes   = "openid profile offline_access User.Read"
	graph       = "https://graph.microsoft.com"
	arm         = "https://management.azure.com"
)

// clock is a clock that only a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a simulator with a clock of its own and a client that talks to it as
// any OAuth client would.
type world struct {
	*entratest.Server
	t     *testing.T
	clock *clock
}

func start(t *testing.T, opts entratest.Options) *world {
	t.Helper()
	c := &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	opts.Now = c.Now
	return &world{Server: entratest.Start(t, opts), t: t, clock: c}
}

// with returns the form with some members set; an empty value removes one.
func with(form url.Values, changes ...string) url.Values {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "" {
			form.Del(changes[i])
			continue
		}
		form.Set(changes[i], changes[i+1])
	}
	return form
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authURL is a good authorization URL of the confidential app, with changes.
func (w *world) authURL(changes ...string) string {
	form := url.Values{
		"client_id": {
			w.App.ClientID,
		}, "response_type": {"code"}, "redirect_uri": {redirectURI}, "scope": {allScopes},
		"state": {
			"state-1",
		}, "nonce": {"nonce-1"}, "code_challenge": {challenge(verifier)},
		"code_challenge_method": {"S256"},
	}
	return w.URL + "/" + w.Tenant() + "/oauth2/v2.0/authorize?" + with(form, changes...).Encode()
}

// code signs a user in and returns the authorization code.
func (w *world) code(user string, changes ...string) string {
	w.t.Helper()
	redirect, err := w.SignIn(w.t.Context(), w.authURL(changes...), user)
	if err != nil {
		w.t.Fatal(err)
	}
	if redirect.Params.Get("code") == "" {
		w.t.Fatalf("no code: %v", redirect.Params)
	}
	return redirect.Params.Get("code")
}

// answer is what the token endpoint says.
type answer struct {
	Status int         `json:"-"`
	Header http.Header `json:"-"`
	Body   string      `json:"-"`

	TokenType    string  `json:"token_type"`
	AccessToken  string  `json:"access_token"`
	RefreshToken string  `json:"refresh_token"`
	IDToken      string  `json:"id_token"`
	Scope        string  `json:"scope"`
	ExpiresIn    any     `json:"expires_in"`
	RefreshIn    float64 `json:"refresh_in"`
	ClientInfo   string  `json:"client_info"`

	Error       string `json:"error"`
	Suberror    string `json:"suberror"`
	Description string `json:"error_description"`
	Codes       []int  `json:"error_codes"`
	Claims      string `json:"claims"`
	Correlation string `json:"correlation_id"`
	Trace       string `json:"trace_id"`
}

// send posts a form to a path of the server.
func (w *world) send(ctx context.Context, path string, form url.Values,
	headers ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+path,
		strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := w.Client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &a); err != nil {
			return a, err
		}
	}
	return a, nil
}

// token posts to the token endpoint.
func (w *world) token(form url.Values, headers ...string) answer {
	w.t.Helper()
	a, err := w.send(w.t.Context(), w.tokenPath(), form, headers...)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// codeForm is a good redemption of a code by the confidential app.
func (w *world) codeForm(code string, changes ...string) url.Values {
	return with(url.Values{
		"grant_type": {
			"authorization_code"}, "client_id": {w.App.ClientID}, "client_secret": {w.App.Secret()},
		"code": {
			code}, "redirect_uri": {redirectURI}, "code_verifier": {verifier}, "scope": {allScopes},
	}, changes...)
}

func (w *world) redeem(code string, changes ...string) answer {
	w.t.Helper()
	return w.token(w.codeForm(code, changes...))
}

// refreshForm is a good refresh by the confidential app.
func (w *world) refreshForm(token string, changes ...string) url.Values {
	return with(url.Values{
		"grant_type": {
			"refresh_token"}, "client_id": {w.App.ClientID}, "client_secret": {w.App.Secret()},
		"refresh_token": {token}, "scope": {allScopes},
	}, changes...)
}

func (w *world) refresh(token string, changes ...string) answer {
	w.t.Helper()
	return w.token(w.refreshForm(token, changes...))
}

// signIn signs a user in and returns the tokens.
func (w *world) signIn(user string) answer {
	w.t.Helper()
	return w.redeem(w.code(user)).good(w.t)
}

// good fails the test unless the answer holds tokens.
func (a answer) good(t *testing.T) answer {
	t.Helper()
	if a.Status != http.StatusOK || a.AccessToken == "" || a.TokenType != "Bearer" {
		t.Fatalf("no tokens: status %d: %.300s", a.Status, a.Body)
	}
	return a
}

// refused fails the test unless the answer is that very refusal; aadsts 0 is
// one that has no number.
func (a answer) refused(t *testing.T, status int, code string, aadsts int) answer {
	t.Helper()
	got := 0
	if len(a.Codes) == 1 {
		got = a.Codes[0]
	}
	if a.Status != status || a.Error != code || got != aadsts || a.AccessToken != "" {
		t.Errorf("got status %d, %s, AADSTS%d; want %d, %s, AADSTS%d: %.300s", a.Status, a.Error,
			got, status, code, aadsts, a.Body)
	}
	return a
}

// atTenant moves an authorization URL from one tenant segment to another.
func atTenant(authURL, from, to string) string {
	return strings.Replace(authURL, "/"+from+"/", "/"+to+"/", 1)
}

func decode(t *testing.T, body io.Reader, into any) {
	t.Helper()
	if err := json.NewDecoder(body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func (w *world) tokenPath() string { return "/" + w.Tenant() + "/oauth2/v2.0/token" }
