// SPDX-License-Identifier: MPL-2.0

package main

import (
	"sync"
	"time"
)

const (
	// forcedShare is how long a forced refresh counts for those who follow.
	forcedShare = time.Second

	// forcedRetry is how often a refusal that only a person or an administrator
	// can end is tried again by force.
	forcedRetry = 10 * time.Second
)

// forcedMemory remembers forced refreshes for seconds: what was just done is
// shared, and what Entra just refused is not asked again.
type forcedMemory struct {
	mu     sync.Mutex // guards the map
	recent map[string]forcedResult
}

// forcedResult is what became of the latest forced refresh of a wish.
type forcedResult struct {
	at         time.Time
	generation string   // of the account it was done for
	refusal    *refusal // nil: it worked
}

func newForcedMemory() *forcedMemory {
	return &forcedMemory{recent: map[string]forcedResult{}}
}

func (m *forcedMemory) done(key, generation string, now time.Time) {
	m.put(key, forcedResult{at: now, generation: generation})
}

func (m *forcedMemory) refuse(key string, r *refusal) {
	m.put(key, forcedResult{at: r.Time, refusal: r})
}

// put forgets, on the way, what is too old to matter.
func (m *forcedMemory) put(key string, result forcedResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for old, was := range m.recent {
		if result.at.Sub(was.at) > forcedRetry {
			delete(m.recent, old)
		}
	}
	m.recent[key] = result
}

// justDone reports whether the wish was fulfilled within the last second, for
// the account as it is now.
func (m *forcedMemory) justDone(key, generation string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, found := m.recent[key]
	return found && was.refusal == nil && was.generation == generation && now.Sub(was.at) < forcedShare
}

// refused is Entra's refusal of the wish within the last ten seconds, nil if none.
func (m *forcedMemory) refused(key string, now time.Time) *refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	if was := m.recent[key]; was.refusal != nil && now.Sub(was.at) < forcedRetry {
		return was.refusal
	}
	return nil
}
