// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"sync"
	"time"
)

const (
	documentLifetime = 24 * time.Hour  // how often Microsoft asks for discovery and keys to be looked at again
	fetchBackoff     = 5 * time.Second // a failed fetch answers everyone for this long
)

// fetched is a document of the provider's that is fetched when first needed, kept in memory and shared by all.
// One fetch runs at a time. It lives on when the caller that started it leaves, and each waiter can leave on its own context.
type fetched[T comparable] struct {
	fetch func(context.Context) (T, error) // bounded by itself; its errors are shared, so they are never changed
	now   func() time.Time

	mu        sync.Mutex // guards what follows, and is never held across a fetch
	document  T
	fetchedAt time.Time // zero = never
	failure   error     // of the latest fetch
	failedAt  time.Time
	running   *flight[T]
}

type flight[T comparable] struct {
	landed   chan struct{} // closed when document and err are set
	document T
	err      error
}

// get returns the document, fetched within its lifetime. While the provider cannot be reached an older one still serves,
// up to twice that age.
func (f *fetched[T]) get(ctx context.Context) (T, error) {
	f.mu.Lock()
	now := f.now()
	held := !f.fetchedAt.IsZero()
	if held && now.Sub(f.fetchedAt) < documentLifetime {
		defer f.mu.Unlock()
		return f.document, nil
	}
	old, oldServes := f.document, held && now.Sub(f.fetchedAt) < 2*documentLifetime
	if f.failure != nil && now.Sub(f.failedAt) < fetchBackoff {
		defer f.mu.Unlock()
		if oldServes {
			return old, nil
		}
		return f.document, f.failure
	}
	fl := f.takeOff(ctx)
	f.mu.Unlock()

	document, err := fl.wait(ctx)
	if err != nil && oldServes && ctx.Err() == nil {
		return old, nil
	}
	return document, err
}

// renew fetches whatever is held, or joins the fetch that is running.
func (f *fetched[T]) renew(ctx context.Context) (T, error) {
	f.mu.Lock()
	fl := f.takeOff(ctx)
	f.mu.Unlock()
	return fl.wait(ctx)
}

// renewOnce is for a caller whom the document seen did not serve: it returns the one that replaced it meanwhile, or fetches one
// if allowed says so. Joining a fetch that runs needs no allowance. The document seen comes back if there is nothing newer.
func (f *fetched[T]) renewOnce(ctx context.Context, seen T, allowed func() bool) (T, error) {
	f.mu.Lock()
	if f.document != seen || f.running == nil && !allowed() {
		defer f.mu.Unlock()
		return f.document, nil
	}
	fl := f.takeOff(ctx)
	f.mu.Unlock()
	return fl.wait(ctx)
}

// takeOff returns the running fetch or starts one. The caller holds mu.
func (f *fetched[T]) takeOff(ctx context.Context) *flight[T] {
	if f.running != nil {
		return f.running
	}
	fl := &flight[T]{landed: make(chan struct{})}
	f.running = fl
	go func() {
		fl.document, fl.err = f.fetch(context.WithoutCancel(ctx))
		f.mu.Lock()
		f.running = nil
		if f.failure = fl.err; fl.err != nil {
			f.failedAt = f.now()
		} else {
			f.document, f.fetchedAt = fl.document, f.now()
		}
		f.mu.Unlock()
		close(fl.landed)
	}()
	return fl
}

func (fl *flight[T]) wait(ctx context.Context) (T, error) {
	select {
	case <-fl.landed:
		return fl.document, fl.err
	case <-ctx.Done():
		var none T
		cause := context.Cause(ctx)
		return none, &Error{Class: ClassTransient, Description: oneLine("gave up waiting for the authority: " + cause.Error()), Err: cause}
	}
}
