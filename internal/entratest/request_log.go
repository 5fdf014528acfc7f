// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"context"
	"maps"
	"sync"
	"time"
)

// Request is one request as the log keeps it.
type Request struct {
	Time      time.Time `json:"time"`
	Endpoint  Endpoint  `json:"endpoint"`
	Method    string    `json:"method"`
	Host      string    `json:"host"`
	Path      string    `json:"path"`
	GrantType string    `json:"grant_type,omitempty"` // device_code for either spelling
	ClientID  string    `json:"client_id,omitempty"`
	User      string    `json:"user,omitempty"` // whose code or refresh token was presented
	Scope     string    `json:"scope,omitempty"`
	// secrets replaced, unless Options.LogSecrets
	Params    map[string]string `json:"params,omitempty"`
	UserAgent string            `json:"user_agent,omitempty"`

	// AnchorMailbox is the X-AnchorMailbox header, by which Entra finds a user's region.
	AnchorMailbox string `json:"anchor_mailbox,omitempty"`

	// What became of it. Status 0 means that the client got no answer.
	Status        int           `json:"status"`
	Error         string        `json:"error,omitempty"`
	AADSTS        int           `json:"aadsts,omitempty"`
	Faulted       bool          `json:"faulted,omitempty"` // it met a fault
	Done          bool          `json:"done"`
	Duration      time.Duration `json:"duration_ns"`
	CorrelationID string        `json:"correlation_id"`

	family string   // of the refresh token presented
	logged *Request // its place in the log
}

// Counts sums up the requests since the start or the last reset.
type Counts struct {
	Requests  map[Endpoint]int `json:"requests"`
	Grants    map[string]int   `json:"grants"` // token requests by grant type
	Users     map[string]int   `json:"users"`  // token requests by username
	Succeeded int              `json:"succeeded"`
	Failed    int              `json:"failed"`  // token requests refused
	Dropped   int              `json:"dropped"` // requests that got no answer

	// MaxConcurrent is the most token requests that were open at once, and
	// MaxFamilyConcurrent the most that presented refresh tokens of one sign-in.
	MaxConcurrent       int `json:"max_concurrent"`
	MaxFamilyConcurrent int `json:"max_family_concurrent"`
}

// maxLogged bounds the log; the counters go on.
const maxLogged = 20000

type requestLog struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when a request arrives
	requests []*Request
	counts   Counts
	open     int
	families map[string]int // open requests
}

func newRequestLog() *requestLog {
	l := &requestLog{changed: make(chan struct{}), families: make(map[string]int)}
	l.reset()
	return l
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
	l.counts = Counts{Requests: make(map[Endpoint]int), Grants: make(map[string]int),
		Users: make(map[string]int)}
}

// begin notes a request that has arrived.
func (l *requestLog) begin(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) < maxLogged {
		logged := *r
		l.requests = append(l.requests, &logged)
		r.logged = &logged
	}
	l.counts.Requests[r.Endpoint]++
	if r.Endpoint == Token {
		l.counts.Grants[r.GrantType]++
		if r.User != "" {
			l.counts.Users[r.User]++
		}
		l.open++
		l.counts.MaxConcurrent = max(l.counts.MaxConcurrent, l.open)
		if r.family != "" {
			l.families[r.family]++
			l.counts.MaxFamilyConcurrent = max(l.counts.MaxFamilyConcurrent, l.families[r.family])
		}
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// end notes what became of it.
func (l *requestLog) end(r *Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.logged != nil {
		logged := r.logged
		*logged = *r
		logged.logged = nil
	}
	if r.Status == 0 {
		l.counts.Dropped++
	}
	if r.Endpoint != Token {
		return
	}
	l.open--
	if r.family != "" {
		if l.families[r.family]--; l.families[r.family] == 0 {
			delete(l.families, r.family)
		}
	}
	switch {
	case r.Status == 200:
		l.counts.Succeeded++
	case r.Status != 0:
		l.counts.Failed++
	}
}

// Requests returns the log in order of arrival.
func (s *Simulator) Requests() []Request {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	list := make([]Request, len(s.log.requests))
	for i, r := range s.log.requests {
		list[i] = *r
	}
	return list
}

// Counts returns the counters.
func (s *Simulator) Counts() Counts {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	c := s.log.counts
	c.Requests, c.Grants, c.Users = maps.Clone(c.Requests), maps.Clone(
		c.Grants), maps.Clone(c.Users)
	return c
}

// Count returns how many requests in the log match, open ones included.
func (s *Simulator) Count(m Match) int {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.count(m)
}

func (l *requestLog) count(m Match) int {
	n := 0
	for _, r := range l.requests {
		if m.matches(*r) {
			n++
		}
	}
	return n
}

// Await returns when n requests that match have arrived, or with ctx's error.
func (s *Simulator) Await(ctx context.Context, m Match, n int) error {
	for {
		s.log.mu.Lock()
		count, changed := s.log.count(m), s.log.changed
		s.log.mu.Unlock()
		if count >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ResetCounts empties the log and sets the counters to zero.
func (s *Simulator) ResetCounts() { s.log.reset() }
