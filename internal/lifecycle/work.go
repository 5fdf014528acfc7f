// SPDX-License-Identifier: MPL-2.0

// Package lifecycle knows when a mount's work begins and ends: what Clean waits
// for, the contexts of work that outlives its caller, and which node may write.
package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"
)

// StorageGrace is what detached work gets beyond its calls to Entra, to store what
// it was given.
const StorageGrace = 30 * time.Second

// ErrStopping answers requests that arrive while the backend is torn down.
// Vault's clients repeat a request after a 5xx.
var ErrStopping = errors.New("the plugin is stopping: repeat the request")

// Work counts the work that Clean waits for: exchanges with Entra whose answer is
// not stored yet, and the background.
type Work struct {
	stopping context.Context // ends when Stop is called
	stop     context.CancelFunc
	over     context.Context // ends when the patience of Stop does
	giveUp   context.CancelFunc

	mu      sync.Mutex // orders Begin before the wait of Stop
	running sync.WaitGroup
}

// NewWork returns a Work that takes work.
func NewWork() *Work {
	w := &Work{}
	w.stopping, w.stop = context.WithCancel(context.Background())
	w.over, w.giveUp = context.WithCancel(context.Background())
	return w
}

// Begin announces work. The caller calls End exactly once if it returns true; it
// returns false once Stop was called.
func (w *Work) Begin() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Stopping() {
		return false
	}
	w.running.Add(1)
	return true
}

// End ends what Begin announced.
func (w *Work) End() { w.running.Done() }

// Go runs f as work in a goroutine of its own; it does nothing once Stop was called.
func (w *Work) Go(f func()) {
	if !w.Begin() {
		return
	}
	go func() {
		defer w.End()
		f()
	}()
}

// Continue runs f in a goroutine of its own, on behalf of work that has begun and
// not ended: Stop waits for it, even if it was called meanwhile.
func (w *Work) Continue(f func()) {
	w.running.Add(1)
	go func() {
		defer w.End()
		f()
	}()
}

// Stopping tells running work to start no second attempt and no queued call.
func (w *Work) Stopping() bool { return w.stopping.Err() != nil }

// Done is closed when Stop is called.
func (w *Work) Done() <-chan struct{} { return w.stopping.Done() }

// Over reports whether nobody waits for the running work any more.
func (w *Work) Over() bool { return w.over.Err() != nil }

// Stop refuses new work and returns the moment the running work has ended, after
// timeout at most. A second call returns at once.
func (w *Work) Stop(timeout time.Duration) {
	w.mu.Lock()
	if w.Stopping() {
		w.mu.Unlock()
		return
	}
	w.stop()
	w.mu.Unlock()

	idle := make(chan struct{})
	go func() {
		w.running.Wait()
		close(idle)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	defer w.giveUp()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// Sleep waits for d, less if the backend stops or ctx ends; it reports whether
// the whole of d went by.
func (w *Work) Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.stopping.Done():
		return false
	case <-ctx.Done():
		return false
	}
}

// Detach gives an exchange a context of its own: what Entra answers is kept even
// if every caller has left, and the wait for it is bounded by time.
func Detach(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}
