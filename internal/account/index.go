// SPDX-License-Identifier: MPL-2.0

package account

import (
	"slices"
	"sync"
	"time"

	"vault-plugin-secrets-entra/internal/config"
)

// Index knows the status of every account of the mount, once it is complete. Only
// the node that may write keeps one: other nodes' writes do not reach it.
type Index struct {
	mu       sync.RWMutex // guards the fields below
	kept     bool
	complete bool
	byName   map[string]Status
	build    uint64          // counts builds, and what ends them
	touched  map[string]bool // while it is built: newer than what the build reads; nil otherwise
}

// Info is what a list says of one account.
type Info struct {
	State      string
	Username   string
	ExpireTime time.Time // of the cached default token, zero if there is none
}

func newIndex() *Index { return &Index{build: 1, byName: map[string]Status{}} }

// Keep begins to keep the index: this node may write now.
func (x *Index) Keep() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.kept = true
}

// Kept reports whether this node takes itself for the one that writes.
func (x *Index) Kept() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.kept
}

// set notes the account as it was just written; a nil entry was deleted.
func (x *Index) set(name string, e *Entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.kept {
		return
	}
	if e == nil {
		delete(x.byName, name)
	} else {
		x.byName[name] = e.Status()
	}
	if x.touched != nil {
		x.touched[name] = true
	}
}

// beginBuild starts over; what is written meanwhile counts more than what is found. It
// names the build: what a build finds once it has ended is dropped, and one that began on a
// node that may not write any more, which is called 0, finds nothing.
func (x *Index) beginBuild() (build uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.kept {
		return 0
	}
	x.build++
	x.touched = map[string]bool{}
	return x.build
}

// found notes an account as a build read it, and reports whether that was news.
func (x *Index) found(build uint64, name string, e *Entry) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if build != x.build || x.touched[name] {
		return false
	}
	x.byName[name] = e.Status()
	return true
}

// foundUnreadable notes an account whose entry cannot be decoded, and reports whether
// that was news.
func (x *Index) foundUnreadable(build uint64, name string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if build != x.build || x.touched[name] || x.byName[name].unreadable {
		return false
	}
	x.byName[name] = Status{unreadable: true}
	return true
}

func (x *Index) endBuild(build uint64, complete bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if build != x.build {
		return
	}
	x.touched = nil
	x.complete = x.complete || complete
}

// Forget drops everything: other nodes write while this one may not.
func (x *Index) Forget() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.build++
	x.kept, x.complete, x.byName, x.touched = false, false, map[string]Status{}, nil
}

// Names returns all names in order, if the index is complete.
func (x *Index) Names() (names []string, complete bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.complete {
		return nil, false
	}
	names = make([]string, 0, len(x.byName))
	for name := range x.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, true
}

// Has reports whether the index knows a readable account of this name.
func (x *Index) Has(name string) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s, known := x.byName[name]
	return known && !s.unreadable
}

// Each calls show for those of the names that the index knows.
func (x *Index) Each(names []string, cfg *config.Entry, now time.Time, show func(string, Info)) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, name := range names {
		if s, known := x.byName[name]; known {
			show(name, Info{s.state(cfg, now), s.Username, s.TokenExpiry})
		}
	}
}
