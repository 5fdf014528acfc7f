// SPDX-License-Identifier: MPL-2.0

package cluster

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// storm is many readers of many accounts, who go on whatever they are told.
type storm struct {
	t        testing.TB
	accounts []string
	nodes    []*harness.Client
	stop     chan struct{}
	wg       sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	reads   []stormRead
	trouble time.Time      // when a reader was last told of any
	errors  map[string]int // by what the reader was told
	expired int            // tokens served that were expired before they were asked for
}

// stormRead is a read that was served.
type stormRead struct {
	asked time.Time
	took  time.Duration
	fresh bool // with a token that was there before
}

// newStorm starts readers of the accounts, at these nodes by turns.
func newStorm(t testing.TB, readers int, accounts []string, nodes ...*harness.Client) *storm {
	t.Helper()
	s := &storm{
		t: t, accounts: accounts, nodes: nodes, stop: make(chan struct{}), errors: map[string]int{},
	}
	for range readers {
		s.wg.Go(s.read)
	}
	t.Cleanup(s.end)
	return s
}

func (s *storm) read() {
	for {
		select {
		case <-s.stop:
			return
		default:
		}
		asked := time.Now()
		node := s.nodes[rand.IntN(len(s.nodes))]
		a, err := node.Try("GET", "entra/token/"+s.accounts[rand.IntN(len(s.accounts))], nil)
		s.note(asked, a, err)
		pause := 10 * time.Millisecond
		if err != nil || a.Status != 200 {
			pause = 50 * time.Millisecond
		}
		time.Sleep(pause)
	}
}

func (s *storm) note(asked time.Time, a *harness.Answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.errors["no answer"]++
		s.trouble = time.Now()
	case a.Status != 200:
		s.errors[firstWords(a)]++
		s.trouble = time.Now()
	default:
		obtained, _ := a.Data["last_vault_rotation"].(string)
		since, err := time.Parse(time.RFC3339, obtained)
		s.reads = append(s.reads, stormRead{
			asked: asked, took: time.Since(asked),
			fresh: err == nil && since.Before(asked.Add(-time.Second)) && len(a.Warnings) == 0,
		})
		if len(a.Warnings) > 0 {
			s.trouble = time.Now()
		}
		expires, _ := a.Data["expire_time"].(string)
		if at, err := time.Parse(time.RFC3339, expires); err != nil || at.Before(asked) {
			s.expired++
		}
	}
}

// firstWords is an answer's status with what its first error begins with.
func firstWords(a *harness.Answer) string {
	if len(a.Errors) == 0 {
		return strconv.Itoa(a.Status)
	}
	code, _, _ := strings.Cut(a.Errors[0], ":")
	return fmt.Sprintf("%d %.60s", a.Status, code)
}

// end stops the readers; a second call does nothing.
func (s *storm) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.wg.Wait()
}

// servedSince is when the first read was served after a moment.
func (s *storm) servedSince(moment time.Time) (time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reads {
		if at := r.asked.Add(r.took); !at.Before(moment) {
			return at, nil
		}
	}
	return moment, errors.New("none was")
}

// lastTrouble is when a reader was last told of any.
func (s *storm) lastTrouble() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

// awaitService waits until reads are served again after a moment, and returns
// how long that took.
func (s *storm) awaitService(since time.Time) time.Duration {
	s.t.Helper()
	var first time.Time
	harness.Eventually(s.t, harness.UpTime, "reads are served again", func() (err error) {
		first, err = s.servedSince(since)
		return err
	})
	return first.Sub(since).Round(time.Millisecond)
}

// calm ends the storm and holds what came out against what must be: nobody was
// given an expired token or told to sign in again.
func (s *storm) calm() {
	s.t.Helper()
	s.end()
	s.t.Logf("the storm: %d reads served, %s", len(s.reads), s.told())
	if len(s.reads) == 0 || s.expired > 0 {
		s.t.Errorf("%d reads served, %d of them with an expired token", len(s.reads), s.expired)
	}
	for what := range s.errors {
		if strings.Contains(what, "login_required") || strings.Contains(what, "access_denied") ||
			strings.Contains(what, "client_rejected") {
			s.t.Errorf("readers were told %q, and nobody is to blame but the crash", what)
		}
	}
}

// told sums up the errors, the same way each time.
func (s *storm) told() string {
	if len(s.errors) == 0 {
		return "no errors"
	}
	var parts []string
	for _, what := range slices.Sorted(maps.Keys(s.errors)) {
		parts = append(parts, fmt.Sprintf("%d × %q", s.errors[what], what))
	}
	return strings.Join(parts, ", ")
}
