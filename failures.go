// SPDX-License-Identifier: MPL-2.0

package main

import (
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	backoffMin = 5 * time.Second
	backoffMax = time.Minute
)

// failureMemory remembers failed refreshes for a while, so that a dead account or
// a refused client does not turn every read into a call. What lasts until a
// sign-in is stored on the account instead.
type failureMemory struct {
	mu      sync.Mutex // guards the fields below
	byToken map[tokenName]*failure
	client  *failure // of the app registration itself
}

// tokenName is an account's token: role "" is the default one.
type tokenName struct{ account, role string }

// failure is the latest of a row of failures.
type failure struct {
	refusal *refusal
	since   time.Time // of the first in the row
	inARow  int
	until   time.Time // nothing is tried before
}

func newFailureMemory() *failureMemory {
	return &failureMemory{byToken: map[tokenName]*failure{}}
}

// again is the failure that follows f, nil for the first. Retry-After counts where
// there is one, else the wait doubles.
func (f *failure) again(r *refusal, retryAfter time.Duration) *failure {
	next := &failure{refusal: r, since: r.Time}
	if f != nil {
		next.since, next.inARow = f.since, f.inARow
	}
	next.inARow++
	wait := retryAfter
	if wait <= 0 {
		wait = min(backoffMin<<min(next.inARow-1, 10), backoffMax)
	}
	next.until = r.Time.Add(wait)
	return next
}

// note remembers a failure of one token.
func (m *failureMemory) note(account, role string, r *refusal, retryAfter time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := tokenName{account, role}
	m.byToken[name] = m.byToken[name].again(r, retryAfter)
}

// noteClient remembers that Entra refuses the client: nothing of this mount is
// refreshed for a while. It reports whether that is news.
func (m *failureMemory) noteClient(r *refusal, retryAfter time.Duration) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	news = m.client == nil || m.client.inARow == 0
	m.client = m.client.again(r, retryAfter)
	return news
}

// showClient shows a refusal of the client without waiting for it.
func (m *failureMemory) showClient(r *refusal) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil {
		m.client = &failure{refusal: r, since: r.Time}
	}
}

// standing is the failure that keeps the token from being tried now, nil if none.
// Of many whom a refusal of the client has kept waiting, one may try.
func (m *failureMemory) standing(account, role string, now time.Time) *refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f := m.byToken[tokenName{account, role}]; f != nil && now.Before(f.until) {
		return f.refusal
	}
	switch {
	case m.client == nil || m.client.inARow == 0:
	case now.Before(m.client.until):
		return m.client.refusal
	default:
		m.client.until = now.Add(backoffMin) // for the others, while this one tries
	}
	return nil
}

// latest is what is remembered of the token's failures, or of the client's if
// that lasts longer; nil if nothing is. It is a copy.
func (m *failureMemory) latest(account, role string) *failure {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.byToken[tokenName{account, role}]
	if m.client != nil && m.client.inARow > 0 && (f == nil || m.client.until.After(f.until)) {
		f = m.client
	}
	if f == nil {
		return nil
	}
	copied := *f
	return &copied
}

// last is the latest failure of any of the account's tokens that is still
// remembered, nil if none.
func (m *failureMemory) last(account string) *refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	var last *refusal
	for name, f := range m.byToken {
		if name.account == account && (last == nil || f.refusal.Time.After(last.Time)) {
			last = f.refusal
		}
	}
	return last
}

// forget ends the row after a success: the token's, and the client's with it. It
// reports whether there was one.
func (m *failureMemory) forget(account, role string) (failed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	failed = m.byToken[tokenName{account, role}] != nil || m.client != nil
	delete(m.byToken, tokenName{account, role})
	m.client = nil
	return failed
}

func (m *failureMemory) forgetAccount(account string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.byToken {
		if name.account == account {
			delete(m.byToken, name)
		}
	}
}

func (m *failureMemory) forgetAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byToken = map[tokenName]*failure{}
	m.client = nil
}

// clientError shows what Entra says while it refuses the client; empty otherwise.
func (m *failureMemory) clientError() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.client == nil || m.client.refusal.Class != entra.ClassClient {
		return map[string]any{}
	}
	return map[string]any{
		"code":           m.client.refusal.code(),
		"message":        m.client.refusal.Message,
		"correlation_id": m.client.refusal.CorrelationID,
		"since":          formatTime(m.client.since),
	}
}
