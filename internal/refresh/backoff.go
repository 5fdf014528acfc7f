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
// role and claims, and for the mount as a whole. Reads, the background and forced
// refreshes ask it the same question, standing. What lasts until a sign-in is stored
// with the account instead, and counts in the answer.
type backoff struct {
	generation func() uint64 // of the registration now: what another one failed at is dropped

	mu       sync.Mutex // guards the fields below
	attempts map[backoffKey]*attempt
	client   *attempt // Entra refuses the registration; one that blocks nobody has inARow 0
	outage   *attempt // Entra does not answer: the background waits
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
	generation string    // of the account that it failed or worked for
}

// failed reports whether a, which may be nil, is a failure of the account of that generation.
func (a *attempt) failed(generation string) bool {
	return a != nil && a.failure != nil && a.generation == generation
}

func newBackoff(generation func() uint64) *backoff {
	return &backoff{generation: generation, attempts: map[backoffKey]*attempt{}}
}

// again is the failure that follows a, nil for the first. Retry-After counts where
// there is one, else the wait doubles.
func (a *attempt) again(f failure) *attempt {
	next := &attempt{failure: f.RefreshError, since: f.Time, generation: f.account}
	if a.failed(f.account) {
		next.since, next.inARow = a.since, a.inARow
	}
	next.inARow++
	wait := f.retryAfter
	if wait <= 0 {
		wait = min(backoffMin<<min(next.inARow-1, 10), backoffMax)
	}
	next.until = f.Time.Add(wait)
	return next
}

// failure is one failed refresh, under a registration.
type failure struct {
	*account.RefreshError
	account    string        // its generation; "" where the failure is the mount's
	retryAfter time.Duration // 0: Entra did not say
	generation uint64        // of the registration
	noAnswer   bool          // from anybody who could have an opinion

	// aboutClient: the registration is known to be refused, and not one user or grant.
	aboutClient bool
}

// note remembers a failure of one token.
func (b *backoff) note(key backoffKey, f failure) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.generation != b.generation() {
		return
	}
	b.prune(f.Time)
	b.attempts[key] = b.attempts[key].again(f)
}

// noteMount remembers what a failure says about the mount as a whole. It reports
// whether Entra begins to refuse the registration.
func (b *backoff) noteMount(f failure) (clientRejected bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f.generation != b.generation() {
		return false
	}
	f.account = ""
	switch {
	case f.aboutClient:
		clientRejected = b.client == nil || b.client.inARow == 0
		b.client = b.client.again(f)
	case !f.noAnswer:
		b.outage = nil
	case b.outage == nil || !f.Time.Before(b.outage.until):
		b.outage = b.outage.again(f)
	}
	return clientRejected
}

// showClient shows a refusal of the client without waiting for it.
func (b *backoff) showClient(refused *account.RefreshError, generation uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if generation != b.generation() {
		return
	}
	if b.client == nil {
		b.client = &attempt{since: refused.Time}
	}
	b.client.failure = refused
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
		over := now.After(a.until) && now.Sub(a.forcedAt) > forceShare
		if over && (key.claims != "" || a.failure == nil) {
			delete(b.attempts, key)
		}
	}
}

// justForced reports whether the request was answered by force within the last second,
// for the account as it is now.
func (b *backoff) justForced(key backoffKey, e *account.Entry, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.attempts[key]
	return a != nil && a.failure == nil && a.generation == e.Generation &&
		now.Sub(a.forcedAt) < forceShare
}

// standing is the failure that stands against asking for a token of the account e, nil
// if none does, and until when; the zero time is until a person or an operator acts.
func (b *backoff) standing(e *account.Entry, key backoffKey, scopes []string, now time.Time) (*account.RefreshError, time.Time) {
	if r := e.ErrorFor(key.role, scopes, now); r != nil {
		if r.Class == entra.ClassBlocked {
			return r, r.Time.Add(account.BlockedFor)
		}
		return r, time.Time{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, k := range []backoffKey{{key.account, key.role, ""}, key} {
		a := b.attempts[k]
		if a.failed(e.Generation) && now.Before(a.until) && a.failure.IsFor(scopes) {
			return a.failure, a.until
		}
	}
	return nil, time.Time{}
}

// blocked is the failure that keeps the request from being tried now, nil if none. Of
// many whom a refusal of the client has kept waiting, one may try: this one, if it tries.
func (b *backoff) blocked(e *account.Entry, req TokenRequest, tries bool, now time.Time) *account.RefreshError {
	r, _ := b.standing(e, req.backoffKey(), req.Scopes, now)
	if r != nil && !(req.Force && r.Lasts() && now.After(r.Time.Add(forceRetry))) {
		return r
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.client == nil || b.client.inARow == 0:
	case now.Before(b.client.until):
		return b.client.failure
	case tries:
		b.client.until = now.Add(backoffMin) // for the others, while this one tries
	}
	return nil
}

// notBefore is when the background may ask for a token again; never where a person or
// an operator has to act first. patience is what it has with scopes that Entra refuses:
// nothing but a write of the scopes mends them.
func (b *backoff) notBefore(e *account.Entry, key backoffKey, scopes []string, patience time.Duration, now time.Time) (at time.Time, never bool) {
	r, until := b.standing(e, key, scopes, now)
	if r != nil && until.IsZero() {
		return time.Time{}, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.attempts[key]
	if a.failed(e.Generation) && a.failure.Class == entra.ClassRequest && a.failure.IsFor(scopes) {
		until = later(until, a.failure.Time.Add(max(patience, backoffMax)))
	}
	return until, false
}

// gate is what the mount as a whole lets the background do: nothing before a time, and
// then, while it is not known whether Entra answers again, one account at a time.
func (b *backoff) gate() (closedUntil time.Time, oneAtATime bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client != nil && b.client.inARow > 0 {
		closedUntil, oneAtATime = later(closedUntil, b.client.until), true
	}
	if b.outage != nil {
		closedUntil, oneAtATime = later(closedUntil, b.outage.until), true
	}
	return closedUntil, oneAtATime
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// last is the latest failure of any token of the account of that generation that is still
// remembered, nil if none.
func (b *backoff) last(name, generation string) *account.RefreshError {
	b.mu.Lock()
	defer b.mu.Unlock()
	var last *account.RefreshError
	for key, a := range b.attempts {
		if key.account != name || key.claims != "" || !a.failed(generation) {
			continue
		}
		if last == nil || a.failure.Time.After(last.Time) {
			last = a.failure
		}
	}
	return last
}

// succeeded ends the row of failures: the token's, and the mount's with it. It reports
// whether there was one. What worked under another registration ends nothing.
func (b *backoff) succeeded(key backoffKey, generation uint64) (failed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if generation != b.generation() {
		return false
	}
	for _, k := range []backoffKey{key, {key.account, key.role, ""}} {
		failed = failed || b.attempts[k] != nil && b.attempts[k].failure != nil
		delete(b.attempts, k)
	}
	failed = failed || b.client != nil
	b.client, b.outage = nil, nil
	return failed
}

// forget drops what is remembered of one token, if it is of the account of that generation.
func (b *backoff) forget(key backoffKey, generation string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a := b.attempts[key]; a != nil && a.generation == generation {
		delete(b.attempts, key)
	}
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
	b.attempts, b.client, b.outage = map[backoffKey]*attempt{}, nil, nil
}

// clientError is the latest refusal of the client, and since when it is refused; nil if
// it is not.
func (b *backoff) clientError() (refused *account.RefreshError, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.client == nil || b.client.failure.Class != entra.ClassClient {
		return nil, time.Time{}
	}
	return b.client.failure, b.client.since
}
