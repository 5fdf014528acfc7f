// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
)

// graph stands for Microsoft Graph: programs show it the token that they have read. Each
// reader has an address of its own there.
type graph struct {
	*httptest.Server
	mu    sync.Mutex
	seats map[string]*seat // by the first part of the path
}

func newGraph(st *stage) *graph {
	g := &graph{seats: map[string]*seat{}}
	g.Server = httptest.NewServer(http.HandlerFunc(g.me))
	st.t.Cleanup(g.Close)
	return g
}

// address is where a reader finds Graph.
func (g *graph) address(s *seat) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seats[s.account] = s
	return g.URL + "/" + s.account
}

// me answers /v1.0/me for a good token, and makes that show.
func (g *graph) me(w http.ResponseWriter, r *http.Request) {
	account, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g.mu.Lock()
	s := g.seats[account]
	g.mu.Unlock()
	if s == nil || path != "v1.0/me" || !bearer || token == "" || !s.used(token) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// a reader that has left sees nothing
	_, _ = w.Write([]byte(`{"displayName": "Alice Ahlgren"}`))
}
