// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

var goodRefresh = RefreshRequest{
	RefreshToken: "the-refresh-token-that-is-stored",
	Scopes:       []string{"User.Read"},
}

// TestRedeemCodeForm checks what goes over the wire, and that it goes once.
func TestRedeemCodeForm(t *testing.T) {
	p := newProvider(t)
	signIn, err := p.client(nil).RedeemCode(context.Background(), goodCode)
	if err != nil {
		t.Fatal(err)
	}
	form, header := p.lastForm()
	want := url.Values{
		"grant_type": {
			"authorization_code",
		}, "code": {goodCode.Code.Reveal()}, "code_verifier": {goodCode.Verifier.Reveal()},
		"redirect_uri": {
			goodCode.RedirectURI}, "scope": {"User.Read openid profile offline_access"},
		"client_id": {testClient}, "client_secret": {"s3cret-of-the-client"},
	}
	if form.Encode() != want.Encode() {
		t.Errorf("sent %v", form)
	}
	if id := header.Get("client-request-id"); len(id) != 36 ||
		header.Get("Accept") != "application/json" ||
		header.Get("Authorization") != "" {
		t.Errorf("headers %v", header)
	}
	if signIn.User.ObjectID != "object" || signIn.Tokens.AccessToken != "the-access-token" ||
		signIn.Tokens.RefreshToken != "the-next-refresh-token" ||
		!signIn.Tokens.Expiry.Equal(p.now.Add(time.Hour)) {
		t.Errorf("got %+v", signIn.User)
	}
	if p.count("/token") != 1 {
		t.Errorf("%d requests", p.count("/token"))
	}
}

func TestRefreshForm(t *testing.T) {
	p := newProvider(t)
	c := p.client(func(cfg *Config) { cfg.Capabilities = []string{"cp1"} })
	request := goodRefresh
	request.Claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	if _, err := c.Refresh(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	form, _ := p.lastForm()
	if form.Get("grant_type") != "refresh_token" ||
		form.Get("refresh_token") != goodRefresh.RefreshToken.Reveal() ||
		form.Get("scope") != "User.Read openid profile offline_access" {
		t.Errorf("sent %v", form)
	}
	if got, want := form.Get("claims"),
		`{"access_token":{"acrs":{"essential":true,"value":"c1"},"xms_cc":{"values":["cp1"]}}}`; got != want {
		t.Errorf("claims %s, want %s", got, want)
	}
	if p.count("/token") != 1 || p.count("/keys") != 0 {
		t.Errorf("%d token requests, %d for keys", p.count("/token"), p.count("/keys"))
	}
}

// TestClientAuthentication checks that the credential is in the body, in a header only where
// nothing else is offered, not at all for a public client.
func TestClientAuthentication(t *testing.T) {
	for name, test := range map[string]struct {
		methods []string
		secret  Secret
		basic   bool
	}{
		"both offered": {[]string{"client_secret_basic", "client_secret_post"}, "s e+c/r:e%t",
			false},
		"only basic":         {[]string{"client_secret_basic"}, "s e+c/r:e%t", true},
		"nothing said":       {nil, "s e+c/r:e%t", false},
		"public, only basic": {[]string{"client_secret_basic"}, "", false},
		"public, both":       {[]string{"client_secret_basic", "client_secret_post"}, "", false},
	} {
		p := newProvider(t)
		p.document["token_endpoint_auth_methods_supported"] = test.methods
		if _, err := p.client(func(cfg *Config) { cfg.ClientSecret = test.secret }).Refresh(
			context.Background(), goodRefresh); err != nil {
			t.Fatal(err)
		}
		form, header := p.lastForm()
		wantHeader := ""
		if test.basic {
			wantHeader = "Basic " + base64.StdEncoding.EncodeToString(
				[]byte(testClient+":s+e%2Bc%2Fr%3Ae%25t"))
		}
		if header.Get("Authorization") != wantHeader ||
			form.Has("client_secret") != (test.secret != "" && !test.basic) ||
			form.Has("client_id") == test.basic {
			t.Errorf("%s: sent %v, %q", name, form, header.Get("Authorization"))
		}
	}
}

func TestExpiresIn(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for raw, want := range map[string]time.Duration{
		`3600`: time.Hour, `"3600"`: time.Hour, `3599.9`: 3599 * time.Second,
		`"3599.9"`: 3599 * time.Second, `0`: 0, `-5`: 0, `"-5"`: 0,
		`1e300`: maxLifetime, `9999999999999999999999`: maxLifetime, `null`: defaultLifetime,
		`"soon"`: defaultLifetime, `{}`: defaultLifetime, `[1]`: defaultLifetime,
		`true`: defaultLifetime, `"NaN"`: defaultLifetime, `""`: defaultLifetime,
	} {
		p.setAnswer(200, nil, `{"access_token":"a","expires_in":`+raw+`}`)
		tokens, err := c.Refresh(context.Background(), goodRefresh)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := tokens.Expiry.Sub(tokens.Obtained); got != want {
			t.Errorf("%s lives %s, want %s", raw, got, want)
		}
	}
	p.setAnswer(200, nil, `{"access_token":"a"}`)
	tokens, err := c.Refresh(context.Background(), goodRefresh)
	if err != nil || tokens.Expiry.Sub(tokens.Obtained) != defaultLifetime ||
		tokens.Scope != "User.Read" ||
		tokens.TokenType != "Bearer" ||
		tokens.RefreshToken != "" {
		t.Errorf("the least of an answer is read as %+v, %v", tokens, err)
	}
}

// TestUnusableAnswers checks that what is no answer is no word about the user either, and is
// never repeated.
func TestUnusableAnswers(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for name, test := range map[string]struct {
		status int
		header http.Header
		body   string
		class  Class
		retry  time.Duration
	}{
		"HTML":             {200, nil, "<html>MARK</html>", ClassTransient, 0},
		"half of JSON":     {200, nil, `{"access_token":"MARK`, ClassTransient, 0},
		"a JSON list":      {200, nil, `["MARK"]`, ClassTransient, 0},
		"nothing":          {200, nil, "", ClassTransient, 0},
		"no access token":  {200, nil, `{"refresh_token":"MARK"}`, ClassTransient, 0},
		"only an ID token": {200, nil, `{"id_token":"MARK"}`, ClassRequest, 0},
		"another type of token": {200, nil, `{"access_token":"MARK","token_type":"pop"}`,
			ClassTransient, 0},
		"an error with 200": {200, nil,
			`{"error":"invalid_grant","error_description":"AADSTS50173: gone"}`, ClassUser, 0},
		"too large": {200, nil,
			`{"access_token":"` + strings.Repeat("MARK", 1<<19) + `"}`, ClassTransient, 0},
		"a redirect": {302, http.Header{"Location": {"https://evil.example/"}}, "MARK",
			ClassTransient, 0},
		"429 in words": {429, http.Header{"Retry-After": {"60"}}, "MARK: slow down",
			ClassTransient, time.Minute},
		"429, JSON": {429, http.Header{"Retry-After": {"7"}},
			`{"error":"invalid_grant"}`, ClassTransient, 7 * time.Second},
		"503 of a gateway": {503, nil, "<h1>MARK</h1>", ClassTransient, 0},
		"400 in words":     {400, nil, "MARK", ClassTransient, 0},
		"404":              {404, nil, "MARK", ClassTransient, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p.setAnswer(test.status, test.header, test.body)
			before := p.count("/token")
			tokens, err := c.Refresh(context.Background(), goodRefresh)
			var e *Error
			if !errors.As(err, &e) || e.Class != test.class || e.RetryAfter != test.retry ||
				tokens != nil {
				t.Fatalf("answered %v, %+v", tokens, err)
			}
			if strings.Contains(err.Error()+e.Reason(), "MARK") {
				t.Errorf("the answer is repeated: %v", err)
			}
			if n := p.count("/token") - before; n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestNoSecretInErrors checks that a provider that repeats what it was sent is not repeated.
func TestNoSecretInErrors(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.answer = func(form url.Values) (int, http.Header, string) {
		said := strings.Join(
			[]string{form.Get("code"), form.Get("client_secret"), form.Get("code_verifier"),
				form.Get("refresh_token"), url.QueryEscape(form.Get("code"))},
			" and ",
		)
		return 400, nil, fmt.Sprintf(
			`{"error":"invalid_grant","error_description":"AADSTS70000: %s was sent","correlation_id":"%s","suberror":"%s"}`,
			said, form.Get("code"), form.Get("client_secret"))
	}
	_, err1 := c.RedeemCode(context.Background(), goodCode)
	_, err2 := c.Refresh(context.Background(), goodRefresh)
	for _, err := range []error{err1, err2} {
		var e *Error
		if !errors.As(err, &e) {
			t.Fatalf("answered %v", err)
		}
		shown := fmt.Sprintf("%v %+v %s", err, *e, e.Reason())
		for _, secret := range []Secret{goodCode.Code, goodCode.Verifier, goodRefresh.RefreshToken,
			"s3cret-of-the-client"} {
			if strings.Contains(shown, secret.Reveal()) {
				t.Errorf("%q is shown: %s", secret.Reveal(), shown)
			}
		}
		if !strings.Contains(shown, "[redacted]") {
			t.Errorf("nothing is redacted: %s", shown)
		}
	}
}

// TestErrorDetails are kept for an administrator to search by.
func TestErrorDetails(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.setAnswer(
		400,
		nil,
		`{"error":"invalid_grant","error_description":"AADSTS50173: The provided grant has expired due to it being revoked. The user might have changed or reset their password.\r\nTrace ID: 11111111-2222-3333-4444-555555555555\r\nCorrelation ID: 66666666-7777-8888-9999-000000000000\r\nTimestamp: 2026-11-23 18:00:00Z","error_codes":[50173],"suberror":"bad_token","claims":"{\"access_token\":{\"a\":1}}"}`,
	)
	_, err := c.Refresh(context.Background(), goodRefresh)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if e.AADSTS != 50173 || e.Suberror != "bad_token" ||
		e.CorrelationID != "66666666-7777-8888-9999-000000000000" ||
		e.TraceID != "11111111-2222-3333-4444-555555555555" ||
		e.Claims != `{"access_token":{"a":1}}` ||
		e.Status != 400 {
		t.Errorf("kept %+v", e)
	}
	want := "AADSTS50173: The provided grant has expired due to it being revoked"
	if e.Reason() != want {
		t.Errorf("the reason is %q", e.Reason())
	}
	if strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(e.Description, "Timestamp") {
		t.Errorf("the error reads %q", err)
	}
	p.setAnswer(500, nil, "x")
	_, err = c.Refresh(context.Background(), goodRefresh)
	_, header := p.lastForm()
	if !errors.As(err, &e) || e.CorrelationID != header.Get("client-request-id") {
		t.Errorf("without an id the one that was sent counts: %+v", e)
	}
}

// TestRefreshForAnotherUser checks that such an answer is worth nothing.
func TestRefreshForAnotherUser(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	request := goodRefresh
	request.User = Identity{Issuer: p.issuer(testTenant), Subject: "subject", TenantID: testTenant,
		ObjectID: "object"}
	for name, test := range map[string]struct {
		idToken any
		works   bool
	}{
		"the same user":  {p.idToken(nil), true},
		"none":           {nil, true},
		"another user":   {p.idToken(map[string]any{"oid": "other"}), false},
		"another tenant": {p.idToken(map[string]any{"tid": "other"}), false},
		"another client": {p.idToken(map[string]any{"aud": "other"}), false},
		"garbage":        {"a.b.c", false},
	} {
		p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": test.idToken}))
		tokens, err := c.Refresh(context.Background(), request)
		var e *Error
		if test.works != (err == nil) ||
			!test.works && (!errors.As(err, &e) || e.Class != ClassSignIn || tokens != nil) {
			t.Errorf("%s: %v, %v", name, tokens, err)
		}
	}
}

// TestRedeemRefreshToken verifies who it is for.
func TestRedeemRefreshToken(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.setAnswer(200, nil,
		p.tokens(map[string]any{"id_token": p.idToken(map[string]any{"nonce": nil})}))
	if signIn, err := c.RedeemRefreshToken(context.Background(), goodRefresh); err != nil ||
		signIn.User.ObjectID != "object" {
		t.Errorf("got %v, %v", signIn, err)
	}
	p.setAnswer(200, nil, p.tokens(map[string]any{"id_token": nil}))
	if _, err := c.RedeemRefreshToken(context.Background(), goodRefresh); err == nil {
		t.Error("a token without a verified user was accepted")
	}
}

// TestNoAnswer checks that whatever keeps an answer from coming is transient, within the
// request's own time.
func TestNoAnswer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // takes connections and says nothing
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	}()
	p := newProvider(t)
	for name, change := range map[string]func(*Config){
		"untrusted": func(cfg *Config) { cfg.CAPEM = "" },
		"nobody":    func(cfg *Config) { cfg.AuthorityURL = "https://127.0.0.1:1/x" },
		"silence": func(cfg *Config) {
			cfg.AuthorityURL, cfg.RequestTimeout = "https://"+listener.Addr().String()+"/x",
				50*time.Millisecond
		},
	} {
		_, err := p.client(change).Refresh(context.Background(), goodRefresh)
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassTransient || e.Status != 0 || !e.NoAnswer() ||
			e.CorrelationID == "" {
			t.Errorf("%s: %+v", name, err)
		}
	}
}
