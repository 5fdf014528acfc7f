// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// cleanTimeout bounds how long Clean waits: longer than one call to Entra
	// with the default timeout would ordinarily take, shorter than what an
	// operator who steps a node down puts up with.
	cleanTimeout = 10 * time.Second

	// storageGrace is what a detached exchange gets beyond its calls to Entra,
	// to store what it was given.
	storageGrace = 30 * time.Second
)

// errStopping answers requests that arrive while the backend is torn down.
// Vault's clients repeat a request after a 5xx.
var errStopping = errors.New("the plugin is stopping: repeat the request")

// workTracker counts the work that Clean has to wait for: exchanges with Entra
// whose answer is not stored yet.
type workTracker struct {
	mu       sync.Mutex // guards the fields below; never held across anything slow
	running  int
	stopped  bool
	idle     chan struct{} // closed when stopped and nothing runs any more
	stopping chan struct{} // closed when stop is called
}

func (w *workTracker) init() {
	w.idle = make(chan struct{})
	w.stopping = make(chan struct{})
}

// begin announces work; the caller must call end exactly once if it returns true.
func (w *workTracker) begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.running++
	return true
}

func (w *workTracker) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if w.stopped && w.running == 0 {
		close(w.idle)
	}
}

// isStopping tells running work to start no second attempt and no queued call.
func (w *workTracker) isStopping() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// stop refuses new work and returns the moment the running work has ended, after
// timeout at most. A second call returns at once.
func (w *workTracker) stop(timeout time.Duration) {
	w.mu.Lock()
	if w.stopped {
		w.mu.Unlock()
		return
	}
	w.stopped = true
	close(w.stopping)
	if w.running == 0 {
		close(w.idle)
	}
	w.mu.Unlock()

	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-w.idle:
	case <-timer.C:
	}
}

// sleep waits for d, less if the backend stops or ctx ends; it reports whether
// the whole of d went by.
func (w *workTracker) sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stopping:
		return false
	case <-ctx.Done():
		return false
	}
}

// detach gives an exchange a context of its own: what Entra answers must be
// kept even if every caller has left, and the wait for it is bounded by time.
func detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
