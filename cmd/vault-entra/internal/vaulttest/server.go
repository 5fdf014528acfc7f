// SPDX-License-Identifier: MPL-2.0

// Package vaulttest is a small Vault for the tests of the command: a real server that answers paths
// as it is told, and counts what it is asked.
package vaulttest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// Token is the token that the server's clients bear.
const Token = "the-vault-token"

// Server is the Vault. What it was not told about is 404.
type Server struct {
	*httptest.Server

	mu      sync.Mutex
	answers map[string]Answer // by path, without /v1/
	asked   map[string]int    // the same
	token   string
	sealed  bool
	hold    chan struct{} // answers wait until it is closed; nil = at once
}

// Answer is what a path answers.
type Answer struct {
	Status  int // 200 if it is 0
	Data    map[string]any
	Auth    map[string]any
	Body    map[string]any // the whole answer, instead of Data
	Errors  []string
	Headers map[string]string
}

// New starts a Vault, and makes it the one that the environment names.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{answers: map[string]Answer{}, asked: map[string]int{}, token: Token}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	Environment(t, s.URL)
	s.Answer("auth/token/lookup-self", Answer{Data: map[string]any{
		"renewable": false, "ttl": 3600, "policies": []string{"default"},
	}})
	s.Healthy(time.Now())
	return s
}

// Healthy makes the server say that it is well, and what time it is.
func (s *Server) Healthy(now time.Time) {
	s.Answer("sys/health", Answer{Body: map[string]any{
		"initialized": true, "sealed": false, "standby": false, "version": "1.21.4",
		"server_time_utc": now.Unix(),
	}})
}

// Environment points the environment at a Vault, with the token in VAULT_TOKEN and a home of its
// own.
func Environment(t testing.TB, address string) {
	t.Helper()
	for name, value := range map[string]string{
		"VAULT_ADDR": address, "VAULT_TOKEN": Token, "VAULT_AGENT_ADDR": "", "VAULT_NAMESPACE": "",
		"VAULT_MAX_RETRIES": "0", "HOME": t.TempDir(), "VAULT_CONFIG_PATH": "",
		"VAULT_ENTRA_ACCOUNT": "", "VAULT_ENTRA_MAP": "", "VAULT_ENTRA_MOUNT": "",
		"HTTP_PROXY": "", "http_proxy": "", "VAULT_PROXY_ADDR": "",
	} {
		t.Setenv(name, value)
	}
}

// Answer sets what a path answers from now on.
func (s *Server) Answer(path string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[path] = a
}

// AccessToken sets a token that a path answers, such as entra/token/ci.
func (s *Server) AccessToken(path, accessToken, scope string, ttl, life time.Duration) {
	now := time.Now().UTC()
	s.Answer(path, Answer{Data: map[string]any{
		"access_token": accessToken, "token_type": "Bearer", "scope": scope,
		"expire_time":         now.Add(life).Format(time.RFC3339),
		"last_vault_rotation": now.Format(time.RFC3339),
		"ttl":                 int64(ttl / time.Second), "rotation_period": 3000,
		"tenant_id": "the-tenant", "client_id": "the-client",
		"username": "ci@contoso.example", "object_id": "the-object",
	}})
}

// Refuse makes a path answer an error.
func (s *Server) Refuse(path string, status int, message string) {
	s.Answer(path, Answer{Status: status, Errors: []string{message}})
}

// Seal makes every path say that Vault is sealed, or ends that.
func (s *Server) Seal(sealed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sealed = sealed
}

// Hold keeps answers back until the function that it returns is called.
func (s *Server) Hold() (release func()) {
	hold := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
	return sync.OnceFunc(func() {
		s.mu.Lock()
		s.hold = nil
		s.mu.Unlock()
		close(hold)
	})
}

// Takes sets the Vault token that is good from now on; "" asks for none, as an Agent does.
func (s *Server) Takes(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

// Asked is how often a path was asked for.
func (s *Server) Asked(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[path]
}

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/v1/")
	s.mu.Lock()
	s.asked[path]++
	answer, known := s.answers[path]
	switch {
	case s.sealed && path == "sys/health":
		answer = Answer{Body: map[string]any{"initialized": true, "sealed": true}}
	case s.sealed:
		answer = Answer{Status: http.StatusServiceUnavailable, Errors: []string{"Vault is sealed"}}
	case s.token != "" && r.Header.Get("X-Vault-Token") != s.token && path != "sys/health":
		answer = Answer{Status: http.StatusForbidden, Errors: []string{"permission denied"}}
	case !known:
		answer = Answer{Status: http.StatusNotFound, Errors: []string{}}
	}
	hold := s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return
		}
	}
	for name, value := range answer.Headers {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Type", "application/json")
	body := map[string]any{"data": answer.Data}
	if answer.Auth != nil {
		body = map[string]any{"auth": answer.Auth}
	}
	if answer.Body != nil {
		body = answer.Body
	}
	if answer.Errors != nil {
		body = map[string]any{"errors": answer.Errors}
	}
	if answer.Status != 0 {
		w.WriteHeader(answer.Status)
	}
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
