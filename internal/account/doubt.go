// SPDX-License-Identifier: MPL-2.0

package account

import (
	"context"
	"errors"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/store"
)

// lookAgainAfter is how long after a write that failed storage is looked at, and how often
// while it cannot be.
const lookAgainAfter = 5 * time.Second

// doubts are the accounts whose last write or delete failed, which may have happened all the
// same, and those that another node has changed while this one took itself for the node that
// writes. Index and schedule have to know what is stored now.
type doubts struct {
	mu     sync.Mutex // guards the map; not held across storage
	byName map[string]bool
}

func newDoubts() *doubts { return &doubts{byName: map[string]bool{}} }

// set notes or ends a doubt, and reports whether that is news.
func (d *doubts) set(name string, doubtful bool) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.byName[name]
	if doubtful {
		d.byName[name] = true
	} else {
		delete(d.byName, name)
	}
	return was != doubtful
}

// doubt looks at what is stored of the account until storage says it.
func (s *Store) doubt(name string) {
	if !s.doubts.set(name, true) {
		return
	}
	s.work.Go(func() {
		ctx := context.Background()
		for s.work.Sleep(ctx, lookAgainAfter) {
			s.doubts.set(name, false) // before the look: what comes during it is looked at again
			if err := s.lookAgain(ctx, name); err == nil || !s.doubts.set(name, true) {
				return
			}
		}
	})
}

// lookAgain tells index and schedule what is stored of the account.
func (s *Store) lookAgain(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, lifecycle.StorageGrace)
	defer cancel()
	unlock, err := s.locks.Lock(ctx, name)
	if err != nil {
		return err
	}
	defer unlock()
	e, _, _, err := s.load(ctx, name)
	if err != nil && !errors.Is(err, store.ErrUnreadable) {
		return err
	}
	if e != nil || err == nil && s.Index.Has(name) {
		s.changed(name, e, e)
	}
	return nil
}
