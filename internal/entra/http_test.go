// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// tokenServer answers as the token endpoint of p in place of p's own. httptest's servers share one
// certificate.
func (p *provider) tokenServer(http2 bool, handler http.HandlerFunc) {
	p.t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = http2
	server.StartTLS()
	p.t.Cleanup(server.Close)
	p.document["token_endpoint"] = server.URL + "/token"
}

// refused says what came of a refresh that has to fail for want of an answer.
func refused(t *testing.T, c *Client) *Error {
	t.Helper()
	tokens, err := c.Refresh(context.Background(), goodRefresh)
	var e *Error
	if !errors.As(err, &e) || tokens != nil {
		t.Fatalf("answered %v, %v", tokens, err)
	}
	return e
}

// TestBrokenConnection checks that a request that may have arrived is never sent again by net/http
// either, be it over a connection that served before or over HTTP/2. A refresh token is presented
// once.
func TestBrokenConnection(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		for name, breakOff := range map[string]func(http.ResponseWriter){
			"before the answer": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
			"in its middle": func(w http.ResponseWriter) {
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write([]byte(`{"access_token":"MARK`))
				panic(http.ErrAbortHandler)
			},
		} {
			t.Run(fmt.Sprintf("%s, HTTP/2 %v", name, http2), func(t *testing.T) {
				p := newProvider(t)
				var requests atomic.Int32
				p.tokenServer(http2, func(w http.ResponseWriter, r *http.Request) {
					if r.ProtoMajor == 2 != http2 {
						t.Errorf("by %s", r.Proto)
					}
					if requests.Add(1) > 1 {
						breakOff(w)
					}
					_, _ = w.Write([]byte(p.tokens(nil)))
				})
				c := p.client(nil)
				if _, err := c.Refresh(context.Background(), goodRefresh); err != nil {
					t.Fatal(err)
				}
				e := refused(t, c)
				if e.Class != ClassTransient || e.Status != 0 || !e.NoAnswer() ||
					strings.Contains(e.Error(), "MARK") {
					t.Errorf("answered %+v", e)
				}
				if n := requests.Load(); n != 2 {
					t.Errorf("%d requests instead of 2", n)
				}
			})
		}
	}
}

// TestSlowAnswer checks that RequestTimeout counts to the last byte, and the caller's own end
// counts too.
func TestSlowAnswer(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"no answer": func(http.ResponseWriter) {},
		"half of an answer": func(w http.ResponseWriter) {
			_, _ = w.Write([]byte(`{"access`))
			w.(http.Flusher).Flush()
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			done, arrived := make(chan struct{}), make(chan struct{})
			patient := goodRefresh
			patient.RefreshToken = "patient"
			p.tokenServer(false, func(w http.ResponseWriter, r *http.Request) {
				fromPatient := r.PostFormValue("refresh_token") == "patient"
				begin(w)
				if fromPatient {
					close(arrived)
				}
				<-done
			})
			t.Cleanup(func() { close(done) })

			impatient := p.client(nil)
			// discovery takes its own time
			if err := impatient.Verify(context.Background()); err != nil {
				t.Fatal(err)
			}
			impatient.cfg.RequestTimeout = 50 * time.Millisecond
			e := refused(t, impatient)
			if e.Class != ClassTransient || !errors.Is(e, context.DeadlineExceeded) ||
				!strings.Contains(e.Error(), "no complete answer within 50ms") {
				t.Errorf("after its time: %v", e)
			}

			ctx, leave := context.WithCancel(context.Background())
			go func() { <-arrived; leave() }()
			if _, err := p.client(nil).Refresh(ctx, patient); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller who left got %v", err)
			}
		})
	}
}

// TestAnswerSize checks that what fits is read, one byte more is not.
func TestAnswerSize(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	answer := p.tokens(nil)
	p.setAnswer(200, nil, answer+strings.Repeat(" ", maxAnswer-len(answer)))
	if _, err := c.Refresh(context.Background(), goodRefresh); err != nil {
		t.Errorf("the largest answer: %v", err)
	}
	p.setAnswer(200, nil, answer+strings.Repeat(" ", maxAnswer-len(answer)+1))
	if e := refused(t, c); e.Class != ClassTransient ||
		!strings.Contains(e.Error(), "larger than") {
		t.Errorf("one byte more: %v", e)
	}
	p.setAnswer(200, http.Header{"X-Large": {strings.Repeat("x", 2*maxHeader)}}, answer)
	if e := refused(t, c); e.Class != ClassTransient {
		t.Errorf("a large header: %v", e)
	}
}

// TestRedirects are followed nowhere: neither with secrets nor for a document that is to be
// trusted.
func TestRedirects(t *testing.T) {
	var led atomic.Int32
	elsewhere := httptest.NewTLSServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) { led.Add(1) }))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		p := newProvider(t)
		p.setAnswer(status, http.Header{"Location": {elsewhere.URL}}, "")
		if e := refused(t, p.client(nil)); e.Class != ClassTransient || e.Status != status {
			t.Errorf("%d: %v", status, e)
		}
	}
	redirect := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	t.Cleanup(redirect.Close)
	p := newProvider(t)
	p.document["jwks_uri"] = redirect.URL + "/keys"
	if _, err := p.client(nil).RedeemCode(context.Background(), goodCode); err == nil ||
		p.count("/token") != 0 {
		t.Errorf("redirected keys: %v", err)
	}
	away := p.client(func(cfg *Config) { cfg.AuthorityURL = redirect.URL + "/x" })
	var e *Error
	if err := away.Verify(context.Background()); !errors.As(err, &e) ||
		e.Status != http.StatusFound ||
		!strings.Contains(err.Error(), redirect.URL) {
		t.Errorf("redirected discovery: %v", err)
	}
	if n := led.Load(); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

var uuid4 = regexp.MustCompile(
	`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`,
)

// TestEveryRequestHasAnID, of its own: discovery and keys too.
func TestEveryRequestHasAnID(t *testing.T) {
	p := newProvider(t)
	if _, err := p.client(nil).RedeemCode(context.Background(), goodCode); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := map[string]bool{}
	for _, header := range p.headers {
		id := header.Get("client-request-id")
		if !uuid4.MatchString(id) || seen[id] || header.Get("return-client-request-id") != "true" ||
			header.Get("Accept") != "application/json" {
			t.Errorf("headers %v", header)
		}
		seen[id] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d requests for discovery, keys and token", len(seen))
	}
}

// TestCorrelationIDs checks that the body's word goes before the header's, and that before what was
// sent.
func TestCorrelationIDs(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	header := http.Header{"Client-Request-Id": {"from-the-header"},
		"X-Ms-Request-Id": {"trace-of-the-header"}}
	for name, test := range map[string]struct {
		header             http.Header
		body               string
		correlation, trace string
	}{
		"body": {header,
			`{"error":"invalid_grant","correlation_id":"from-the-body","trace_id":"trace-of-the-body"}`, "from-the-body", "trace-of-the-body"},
		"header": {header, `{"error":"invalid_grant"}`, "from-the-header",
			"trace-of-the-header"},
		"header, HTML": {header, `<h1>no</h1>`, "from-the-header", "trace-of-the-header"},
		"of odd types": {header, `{"error":"invalid_grant","correlation_id":7,"trace_id":[]}`,
			"from-the-header", "trace-of-the-header"},
		"what was sent": {nil, `{"error":"invalid_grant"}`, "", ""},
	} {
		p.setAnswer(400, test.header, test.body)
		e := refused(t, c)
		if test.correlation == "" {
			_, sent := p.lastForm()
			test.correlation = sent.Get("client-request-id")
		}
		if e.CorrelationID != test.correlation || e.TraceID != test.trace {
			t.Errorf("%s: correlation_id %q, trace_id %q", name, e.CorrelationID, e.TraceID)
		}
	}
}

// TestTrustRoots checks that ca_pem adds to the system's roots, and without it a private CA is not
// believed.
func TestTrustRoots(t *testing.T) {
	p := newProvider(t)
	e := refused(t, p.client(func(cfg *Config) { cfg.CAPEM = "" }))
	var unknown x509.UnknownAuthorityError
	if e.Class != ClassTransient || !errors.As(e, &unknown) ||
		!strings.Contains(e.Error(), "certificate") {
		t.Errorf("without ca_pem: %v", e)
	}
	other, _ := certificate(t)
	if e := refused(t, p.client(func(cfg *Config) { cfg.CAPEM = other })); !errors.As(e, &unknown) {
		t.Errorf("with another CA: %v", e)
	}
	own := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw}))
	if _, err := p.client(func(cfg *Config) {
		cfg.CAPEM = "\n" + other + "\n" + own +
			"\n"
	}).Refresh(context.Background(), goodRefresh); err != nil {
		t.Errorf("with both: %v", err)
	}
}

// TestLoopbackHTTP checks that plain http serves where the operator wrote it, and there alone.
func TestLoopbackHTTP(t *testing.T) {
	p := newProvider(t)
	plain := httptest.NewServer(p.Config.Handler)
	t.Cleanup(plain.Close)
	tls := p.URL
	p.URL = plain.URL // what the tokens and the documents name
	defer func() { p.URL = tls }()
	p.document = map[string]any{
		"issuer": p.issuer(
			testTenant,
		), "authorization_endpoint": plain.URL + "/authorize",
		"token_endpoint": plain.URL + "/token", "jwks_uri": plain.URL + "/keys",
	}
	if _, err := p.client(nil).RedeemCode(context.Background(), goodCode); err != nil {
		t.Errorf("over loopback http: %v", err)
	}
	p.document["token_endpoint"] = "http://192.0.2.1/token"
	if e := refused(t, p.client(nil)); !strings.Contains(e.Error(), "loopback") ||
		p.count("/token") != 1 {
		t.Errorf("a token endpoint elsewhere: %v", e)
	}
	p.URL = tls
	p.document["issuer"], p.document["token_endpoint"] = p.issuer(testTenant), plain.URL+"/token"
	if e := refused(t, p.client(nil)); !strings.Contains(e.Error(),
		"must be an absolute https URL") ||
		p.count("/token") != 1 {
		t.Errorf("a step down from https: %v", e)
	}
}

// TestDocumentsAccuseNobody checks that whatever discovery or keys answer, it is not about the
// account or its grant.
func TestDocumentsAccuseNobody(t *testing.T) {
	for body, want := range map[string]Class{
		`{"error":"invalid_grant","error_codes":[50173]}`: ClassTransient,
		`{"error":"invalid_scope"}`:                       ClassTransient,
		`{"error":"access_denied"}`:                       ClassTransient,
		`no JSON`:                                         ClassTransient,
		`{"error":"invalid_tenant","error_description":"AADSTS90002: Tenant not found."}`: ClassClient,
	} {
		server := httptest.NewTLSServer(
			http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(body))
			}),
		)
		p := newProvider(t)
		if e := refused(t, p.client(func(cfg *Config) {
			cfg.AuthorityURL = server.URL +
				"/x"
		})); e.Class != want ||
			!strings.Contains(e.Error(), server.URL) {
			t.Errorf("discovery %s: %s, %v", body, e.Class, e)
		}
		p.document["jwks_uri"] = server.URL
		_, err := p.client(nil).RedeemCode(context.Background(), goodCode)
		var e *Error
		if !errors.As(err, &e) || e.Class != ClassTransient || p.count("/token") != 0 {
			t.Errorf("keys %s: %v", body, err)
		}
		server.Close()
	}
}

// TestOddMembers checks that a rotated refresh token is not lost over a member that is not of the
// type it should be.
func TestOddMembers(t *testing.T) {
	p := newProvider(t)
	for _, odd := range []string{`"scope":["a"]`, `"scope":7`, `"scope":null`, `"scope":""`,
		`"error":{"code":1}`, `"foci":1,"refresh_in":"soon","ext_expires_in":{}`,
		`"token_type":"bearer"`, `"token_type":""`} {
		p.setAnswer(200, nil, `{"access_token":"a","refresh_token":"next",`+odd+`}`)
		request := goodRefresh
		request.Scopes = []string{"User.Read", "offline_access"}
		tokens, err := p.client(nil).Refresh(context.Background(), request)
		if err != nil || tokens.RefreshToken != "next" || tokens.Scope != "User.Read" ||
			tokens.TokenType != "Bearer" {
			t.Errorf("%s: %+v, %v", odd, tokens, err)
		}
	}
}

// TestTokenTypeIsNotRepeated checks that no error shows it: it could be anything that was sent.
func TestTokenTypeIsNotRepeated(t *testing.T) {
	p := newProvider(t)
	p.answer = func(form url.Values) (int, http.Header, string) {
		return 200, nil, fmt.Sprintf(`{"access_token":"MARK","token_type":%q}`,
			form.Get("refresh_token"))
	}
	e := refused(t, p.client(nil))
	if shown := fmt.Sprintf("%+v %v %s", *e, e, e.Reason()); strings.Contains(shown,
		goodRefresh.RefreshToken.Reveal()) ||
		strings.Contains(shown, "MARK") ||
		e.Class != ClassTransient {
		t.Errorf("shown: %s", shown)
	}
}

// TestTimesAreOfTheWallClock checks that times have no monotonic reading. A monotonic reading would
// make a token young again by as long as the machine was suspended.
func TestTimesAreOfTheWallClock(t *testing.T) {
	p := newProvider(t)
	tokens, err := p.client(func(cfg *Config) { cfg.Now = nil }).Refresh(context.Background(),
		goodRefresh)
	if err != nil {
		t.Fatal(err)
	}
	if tokens.Obtained != tokens.Obtained.Round(0) || tokens.Expiry != tokens.Expiry.Round(0) ||
		tokens.Obtained.Location() != time.UTC {
		t.Errorf("times %#v, %#v", tokens.Obtained, tokens.Expiry)
	}
}

// TestProxyPasswordIsNotShown checks the errors of net/http, which can name the proxy, password and
// all.
func TestProxyPasswordIsNotShown(t *testing.T) {
	a := &answer{host: "login.example", requestID: "id"}
	e := a.unanswered(
		context.Background(),
		&url.Error{
			Op:  "Post",
			URL: "https://login.example/token?x=SECRET",
			Err: errors.New(`proxyconnect tcp: dial "http://user:SECRET@proxy.example:1": refused`),
		},
	)
	if strings.Contains(e.Error(), "SECRET") || !strings.Contains(e.Error(), "proxy.example") ||
		!strings.Contains(e.Error(), "no answer from login.example") {
		t.Errorf("shown: %v", e)
	}
}
