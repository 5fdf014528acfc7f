// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
)

const (
	backoffMin = 5 * time.Second
	backoffMax = time.Minute

	// forceShare is how long a forced refresh counts for those who follow.
	forceShare = time.Second

	// forceRetry is how often a refusal that only a person or an administrator can
	// end is tried again by force.
	forceRetry = 10 * time.Second
)

// backoff is the one memory of "not now": what failed or was just done, by account,
// role and claims, and for the app registration itself. Reads, the background and
// forced refreshes ask it the same question. What lasts until a sign-in is stored
// with the account instead, and asked for here too.
type backoff struct {
	mu       sync.Mutex // guards the fields below
	attempts map[backoffKey]*attempt
	client   *attempt  // of the app registration; one that blocks nobody has inARow 0
	paused   time.Time // the background waits until then: Entra said Retry-After
}

// backoffKey is a token of an account: role "" is the default one.
type backoffKey struct{ account, role, claims string }

// attempt is the latest of a row of failures, or a forced refresh that worked.
type attempt struct {
	failure *account.RefreshError // nil: it worked
	since   time.Time             // of the first in the row
	inARow  int
	until   time.Time // nothing is tried before

	forcedAt   time.Time // when a forced refresh last worked
	generation string    // of the account that it worked for
}

func newBackoff() *backoff { return &backoff{attempts: map[backoffKey]*attempt{}} }

// again is the failure that follows a, nil for the first. Retry-After counts where
// there is one, else the wait doubles.
func (a *attempt) again(failure *account.RefreshError, retryAfter time.Duration) *attempt {
	next := &attempt{failure: failure, since: failure.Time}
	if a != nil && a.failure != nil {
		next.since, next.inARow = a.since, a.inARow
	}
	next.inARow++
	wait := retryAfter
	if wait <= 0 {
		wait = min(backoffMin<<min(next.inARow-1, 10), backoffMax)
	}
	next.until = failure.Time.Add(wait)
	return next
}

// note remembers a failure.
func (b *backoff) note(key backoffKey, failure *account.RefreshError, retryAfter time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune(failure.Time)
	b.attempts[key] = b.attempts[key].again(failure, retryAfter)
}

// noteClaims remembers that Entra refuses a claims challenge, for as long as a
// forced refresh is not tried again. An ordinary refresh may work.
func (b *backoff) noteClaims(key backoffKey, failure *account.RefreshError) {
	b.note(key, failure, forceRetry)
}

// noteForced remembers a forced refresh that worked, for those who follow.
func (b *backoff) noteForced(key backoffKey, generation string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.prune(now)
	b.attempts[key] = &attempt{forcedAt: now, generation: generation}
}

// prune forgets what is over: challenges and forced refreshes are chosen by callers.
func (b *backoff) prune(now time.Time) {
	for key, a := range b.attempts {
		if over := now.After(a.until) && now.Sub(a.forcedAt) > forceShare; over && (key.claims != "" || a.failure == nil) {
			delete(b.attempts, key)
		}
	}
}

// noteClient remembers that Entra refuses the client: nothing of this mount is
// refreshed for a while. It reports whether that is news.
func (b *backoff) noteClient(failure *account.RefreshError, retryAfter time.Duration) (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = b.client == nil || b.client.inARow == 0
	b.client = b.client.again(failure, retryAfter)
	return news
}

// showClient shows a refusal of the client without waiting for it.
func (b *backoff) showClient(failure *account.RefreshError) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == nil {
		b.client = &attempt{failure: failure, since: failure.Time}
	}
}

// justForced reports whether the request was answered by force within the last
// second, for the account as it is now.
func (b *backoff) justForced(key backoffKey, e *account.Entry, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.attempts[key]
	return a != nil && a.failure == nil && a.generation == e.Generation && now.Sub(a.forcedAt) < forceShare
}

// blocked is the failure that keeps the request from being tried now, nil if none.
// Of many whom a refusal of the client has kept waiting, one may try.
func (b *backoff) blocked(e *account.Entry, req TokenRequest, now time.Time) *account.RefreshError {
	if r := e.ErrorFor(req.Role, now); r != nil && !(req.Force && now.After(r.Time.Add(forceRetry))) {
		return r
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range []backoffKey{{req.Account, req.Role, ""}, req.backoffKey()} {
		if a := b.attempts[key]; a != nil && a.failure != nil && now.Before(a.until) {
			return a.failure
		}
	}
	switch {
	case b.client == nil || b.client.inARow == 0:
	case now.Before(b.client.until):
		return b.client.failure
	default:
		b.client.until = now.Add(backoffMin) // for the others, while this one tries
	}
	return nil
}

// notBefore is when the background may ask for the token of a role again; never
// where a person or an operator has to act first. patience is what it has with a
// request that Entra refuses as such.
func (b *backoff) notBefore(name, role string, e *account.Entry, patience time.Duration) (at time.Time, never bool) {
	if r := e.TokenErrors[role]; r != nil {
		if patience == 0 {
			return time.Time{}, true
		}
		at = r.Time.Add(patience)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.attempts[backoffKey{name, role, ""}]
	switch {
	case a == nil || a.failure == nil:
	case a.failure.Class != entra.ClassRequest:
		at = later(at, a.until)
	case patience == 0:
		return time.Time{}, true
	default:
		at = later(at, a.failure.Time.Add(patience))
	}
	if b.client != nil && b.client.inARow > 0 {
		at = later(at, b.client.until)
	}
	return at, false
}

// pause holds back the background: whom Entra tells to wait are the others, too.
func (b *backoff) pause(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.paused = later(b.paused, until)
}

// pausedUntil is how long the background waits, in the past where it does not.
func (b *backoff) pausedUntil() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.paused
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// last is the latest failure of any of the account's tokens that is still
// remembered, nil if none.
func (b *backoff) last(name string) *account.RefreshError {
	b.mu.Lock()
	defer b.mu.Unlock()
	var last *account.RefreshError
	for key, a := range b.attempts {
		if key.account == name && key.claims == "" && a.failure != nil && (last == nil || a.failure.Time.After(last.Time)) {
			last = a.failure
		}
	}
	return last
}

// forget ends the row after a success: the token's, and the client's with it. It
// reports whether there was one.
func (b *backoff) forget(key backoffKey) (failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range []backoffKey{key, {key.account, key.role, ""}} {
		failed = failed || b.attempts[k] != nil && b.attempts[k].failure != nil
		delete(b.attempts, k)
	}
	failed = failed || b.client != nil
	b.client = nil
	return failed
}

func (b *backoff) forgetAccount(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key := range b.attempts {
		if key.account == name {
			delete(b.attempts, key)
		}
	}
}

func (b *backoff) forgetAll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attempts, b.client = map[backoffKey]*attempt{}, nil
}

// clientError is the refusal of the client that lasts, and since when; nil if there
// is none.
func (b *backoff) clientError() (failure *account.RefreshError, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == nil || b.client.failure.Class != entra.ClassClient {
		return nil, time.Time{}
	}
	return b.client.failure, b.client.since
}
