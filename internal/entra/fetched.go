// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// how often Microsoft asks for discovery and keys to be looked at again
	documentLifetime = 24 * time.Hour
	fetchBackoff     = 5 * time.Second // a failed fetch answers everyone for this long
)

// theFetch is the one key in the flights of a fetched.
const theFetch = ""

// fetched is a document of the provider's that is fetched when first needed, kept in memory and
// shared by all. One fetch runs at a time. It lives on when the caller that started it leaves, and
// each waiter can leave on its own context.
type fetched[T comparable] struct {
	// bounded by itself; its errors are shared, so they are never changed
	fetch func(context.Context) (T, error)
	now   func() time.Time

	mu        sync.Mutex // guards what follows, and is never held across a fetch
	document  T
	fetchedAt time.Time // zero = never
	failure   error     // of the latest fetch
	failedAt  time.Time
	running   bool // a fetch is among flights
	flights   singleflight.Group
}

// get returns the document, fetched within its lifetime. While the provider cannot be reached an
// older one still serves, up to twice that age.
func (f *fetched[T]) get(ctx context.Context) (T, error) {
	f.mu.Lock()
	now := f.now()
	cached := !f.fetchedAt.IsZero()
	if cached && now.Sub(f.fetchedAt) < documentLifetime {
		defer f.mu.Unlock()
		return f.document, nil
	}
	old, oldServes := f.document, cached && now.Sub(f.fetchedAt) < 2*documentLifetime
	if f.failure != nil && now.Sub(f.failedAt) < fetchBackoff {
		defer f.mu.Unlock()
		if oldServes {
			return old, nil
		}
		return f.document, f.failure
	}
	done := f.start(ctx)
	f.mu.Unlock()

	document, err := wait[T](ctx, done)
	if err != nil && oldServes && ctx.Err() == nil {
		return old, nil
	}
	return document, err
}

// renew fetches whatever is cached, or joins the fetch that is running.
func (f *fetched[T]) renew(ctx context.Context) (T, error) {
	f.mu.Lock()
	done := f.start(ctx)
	f.mu.Unlock()
	return wait[T](ctx, done)
}

// renewOnce is for a caller whom the document seen did not serve: it returns the one that replaced
// it meanwhile, or fetches one if allowed says so. Joining a fetch that runs needs no allowance.
// The document seen comes back if there is nothing newer.
func (f *fetched[T]) renewOnce(ctx context.Context, seen T, allowed func() bool) (T, error) {
	f.mu.Lock()
	if f.document != seen || !f.running && !allowed() {
		defer f.mu.Unlock()
		return f.document, nil
	}
	done := f.start(ctx)
	f.mu.Unlock()
	return wait[T](ctx, done)
}

// start begins a fetch, or joins the one that is running. The caller holds mu.
func (f *fetched[T]) start(ctx context.Context) <-chan singleflight.Result {
	f.running = true
	return f.flights.DoChan(theFetch, func() (any, error) {
		document, err := f.fetch(context.WithoutCancel(ctx))
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.failure = err; err != nil {
			f.failedAt = f.now()
		} else {
			f.document, f.fetchedAt = document, f.now()
		}
		// Under the same lock, so that nobody joins a fetch whose outcome is noted already.
		f.running = false
		f.flights.Forget(theFetch)
		return document, err
	})
}

// wait returns what a fetch brought, or leaves it alone when ctx ends.
func wait[T any](ctx context.Context, done <-chan singleflight.Result) (T, error) {
	select {
	case result := <-done:
		document, _ := result.Val.(T)
		return document, result.Err
	case <-ctx.Done():
		var none T
		cause := context.Cause(ctx)
		return none, &Error{
			Class:       ClassTransient,
			Description: oneLine("gave up waiting for the authority: " + cause.Error()),
			Err:         cause,
		}
	}
}
