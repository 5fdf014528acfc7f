// SPDX-License-Identifier: MPL-2.0

package store

import (
	"context"
	"sync"
)

// Locks is one lock for each exact name, which a waiter can leave. Names
// that nobody holds or waits for take no memory.
type Locks struct {
	mu    sync.Mutex // guards locks and their users
	locks map[string]*nameLock
}

type nameLock struct {
	held  chan struct{} // capacity 1: full while held
	users int           // holders and waiters
}

// NewLocks returns locks that nobody holds.
func NewLocks() *Locks {
	return &Locks{locks: map[string]*nameLock{}}
}

// Lock waits for name's lock, as long as ctx allows. The caller must call
// unlock exactly once if err is nil.
func (n *Locks) Lock(ctx context.Context, name string) (unlock func(), err error) {
	n.mu.Lock()
	l := n.locks[name]
	if l == nil {
		l = &nameLock{held: make(chan struct{}, 1)}
		n.locks[name] = l
	}
	l.users++
	n.mu.Unlock()

	select {
	case l.held <- struct{}{}:
		return func() {
			<-l.held
			n.leave(name, l)
		}, nil
	case <-ctx.Done():
		n.leave(name, l)
		return nil, ctx.Err()
	}
}

func (n *Locks) leave(name string, l *nameLock) {
	n.mu.Lock()
	defer n.mu.Unlock()
	l.users--
	if l.users == 0 {
		delete(n.locks, name)
	}
}
