// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	testTenant  = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	otherTenant = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
	testClient  = "ac4de76e-07f3-4492-bdf5-1a14eaea26f8"
)

// provider is a small OpenID provider whose every answer a test can spoil. What it
// was asked for is kept.
type provider struct {
	*httptest.Server
	t   testing.TB
	now time.Time // the client's clock too

	mu       sync.Mutex
	key      *rsa.PrivateKey
	keyID    string
	jwks     []map[string]any
	document map[string]any
	answer   func(form url.Values) (status int, header http.Header, body string)
	forms    []url.Values
	headers  []http.Header
	counts   map[string]int
	down     map[string]bool // paths that answer 503
}

// signingKeys are made once: RSA keys take their time.
var signingKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	var keys []*rsa.PrivateKey
	for range 2 {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys = append(keys, key)
	}
	return keys
})

func newProvider(t testing.TB) *provider {
	t.Helper()
	p := &provider{t: t, now: time.Now().Truncate(time.Second), key: signingKeys()[0], keyID: "one",
		counts: map[string]int{}, down: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", p.serve)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	p.document = map[string]any{
		"issuer":                        p.issuer(testTenant),
		"authorization_endpoint":        p.URL + "/authorize",
		"token_endpoint":                p.URL + "/token",
		"jwks_uri":                      p.URL + "/keys",
		"device_authorization_endpoint": p.URL + "/device",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post",
			"client_secret_basic"},
	}
	p.publish(p.key, p.keyID, "")
	p.answer = func(url.Values) (int, http.Header, string) {
		return 200, nil, p.tokens(nil)
	}
	return p
}

func (p *provider) issuer(tenant string) string { return p.URL + "/" + tenant + "/v2.0" }

// publish replaces the keys by one.
func (p *provider) publish(key *rsa.PrivateKey, id, issuer string) {
	jwk := jose.JSONWebKey{Key: key.Public(), KeyID: id, Use: "sig"}
	raw, err := jwk.MarshalJSON()
	if err != nil {
		p.t.Fatal(err)
	}
	var member map[string]any
	if err := json.Unmarshal(raw, &member); err != nil {
		p.t.Fatal(err)
	}
	if issuer != "" {
		member["issuer"] = issuer
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.jwks = []map[string]any{member}
}

func (p *provider) serve(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	p.mu.Lock()
	p.counts[r.URL.Path]++
	p.forms = append(p.forms, r.PostForm)
	p.headers = append(p.headers, r.Header)
	down, answer := p.down[r.URL.Path], p.answer
	document, keys := maps.Clone(p.document), map[string]any{"keys": p.jwks}
	p.mu.Unlock()
	if down {
		http.Error(w, "gone fishing", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/token", "/device":
		status, header, body := answer(r.PostForm)
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	case "/keys":
		_ = json.NewEncoder(w).Encode(keys)
	default: // discovery, under whatever authority
		_ = json.NewEncoder(w).Encode(document)
	}
}

func (p *provider) count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[path]
}

// lastForm is the latest form that was posted.
func (p *provider) lastForm() (url.Values, http.Header) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forms[len(p.forms)-1], p.headers[len(p.headers)-1]
}

func (p *provider) setAnswer(status int, header http.Header, body string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = func(url.Values) (int, http.Header, string) { return status, header, body }
}

// config is a client's that trusts the provider, with changes.
func (p *provider) config(change func(*Config)) Config {
	cfg := Config{
		AuthorityURL: p.issuer(testTenant),
		TenantID:     testTenant,
		ClientID:     testClient,
		ClientSecret: "s3cret-of-the-client",
		CAPEM: string(
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate().Raw})),
		Now: func() time.Time { return p.now },
	}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func (p *provider) client(change func(*Config)) *Client {
	p.t.Helper()
	c, err := New(p.config(change))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(c.Close)
	return c
}

// claims are a good ID token's, with changes; nil removes one.
func (p *provider) claims(change map[string]any) map[string]any {
	claims := map[string]any{
		"iss": p.issuer(
			testTenant), "aud": testClient, "sub": "subject", "tid": testTenant, "oid": "object",
		"preferred_username": "alice@contoso.example", "name": "Alice", "nonce": "the-nonce",
		"iat": p.now.Unix(), "nbf": p.now.Unix(), "exp": p.now.Add(time.Hour).Unix(),
	}
	for name, value := range change {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return claims
}

// sign makes a JWT of claims.
func sign(t testing.TB, algorithm jose.SignatureAlgorithm, key any, id string, claims any) string {
	t.Helper()
	if private, isPrivate := key.(crypto.Signer); isPrivate {
		key = jose.JSONWebKey{Key: private, KeyID: id}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key},
		(&jose.SignerOptions{}).WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func (p *provider) idToken(change map[string]any) string {
	p.t.Helper()
	return sign(p.t, jose.RS256, p.key, p.keyID, p.claims(change))
}

// tokens is a good token answer, with changes; nil removes a member.
func (p *provider) tokens(change map[string]any) string {
	p.t.Helper()
	members := map[string]any{
		"token_type": "Bearer", "access_token": "the-access-token",
		"refresh_token": "the-next-refresh-token",
		"expires_in":    3600, "scope": "User.Read", "id_token": p.idToken(nil),
	}
	for name, value := range change {
		if members[name] = value; value == nil {
			delete(members, name)
		}
	}
	body, err := json.Marshal(members)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

var goodCode = CodeRequest{
	Code:        "the-code-from-the-redirect",
	Verifier:    "the-code-verifier-of-this-login",
	Nonce:       "the-nonce",
	RedirectURI: "https://vault.example.com/cb",
	Scopes:      []string{"User.Read"},
}
