// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// requestLimit is Vault's default_max_request_duration.
	requestLimit = 90 * time.Second

	// answerLimit bounds every answer: what outlives its request is bounded, too.
	answerLimit = 5 * time.Minute

	// spinLimit is how many storage calls the background of a node makes in a second at most.
	spinLimit = 300
)

// world is one history.
type world struct {
	seed    uint64
	make    NewBackend
	options Options
	outcome *Outcome
	plan    *plan
	start   time.Time

	mu        sync.Mutex // guards everything below, and the fields of what it holds
	climate   climate
	storage   *storage
	authority *authority
	nodes     [2]*node // of the cluster: each has one instance at a time
	instances []*instance
	active    *instance // nil during a failover
	runs      []*run
	logins    []*loginURL
	events    []event
	marked    []string      // accounts that a newer version wrote
	writing   chan struct{} // one config write at a time, as a mutex would not let time move
	busy      sync.WaitGroup
}

// climate is how often single calls fail.
type climate struct {
	storageFail, storageSlow           float64
	authorityFail, authorityDrop, slow float64
}

// event is one line of the trace.
type event struct {
	at               time.Duration
	who, what, which string
}

func newWorld(seed uint64, make NewBackend, o Options, outcome *Outcome) *world {
	w := &world{
		seed: seed, make: make, options: o, outcome: outcome,
		start: time.Now(), writing: newSemaphore(), plan: newPlan(seed),
	}
	w.storage = newStorage()
	w.authority = newAuthority(w)
	w.nodes = [2]*node{{name: "A"}, {name: "B"}}
	return w
}

func newSemaphore() chan struct{} {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	return c
}

// now is the time since the history began.
func (w *world) now() time.Duration { return time.Since(w.start) }

// note writes a line of the trace. The caller holds mu.
func (w *world) note(who, what, which string) {
	if w.options.Trace {
		w.events = append(w.events, event{w.now(), who, what, which})
	}
}

// violated notes that an invariant does not hold. The caller holds mu.
func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.note("!", text, "")
	if len(w.outcome.Violations) < 20 {
		w.outcome.Violations = append(w.outcome.Violations, text)
	}
}

// play lives through the history: calm, turbulence, and what is expected after all is mended.
func (w *world) play() {
	goroutines := runtime.NumGoroutine()
	for i, o := range w.plan.operations {
		if !w.options.Skip[i] {
			w.outcome.Operations = append(w.outcome.Operations, o.String())
			w.outcome.Numbers = append(w.outcome.Numbers, i)
		}
	}
	w.boot()
	for i, o := range w.plan.operations {
		if i == w.plan.calm {
			w.busy.Wait()
			w.mu.Lock()
			w.climate = w.plan.climate
			if w.plan.newer {
				w.newerVersion()
			}
			w.mu.Unlock()
		}
		if w.options.Skip[i] {
			continue
		}
		time.Sleep(o.wait)
		if o.due {
			w.awaitDue(o.account)
		}
		w.perform(i, o)
	}
	w.settle()
	if w.answered() {
		w.aftermath()
	}
	w.end(goroutines)
}

// awaitDue waits until the account's token is due, if it has one that is fresh: whoever reads a
// fresh token calls nobody.
func (w *world) awaitDue(name string) {
	w.mu.Lock()
	var due time.Time
	for _, a := range w.storedAccounts() {
		if t, found := a.Tokens[""]; found && a.name == name {
			due = t.Expiry.Add(-min(w.plan.margin, w.plan.tokenLife/2))
		}
	}
	w.mu.Unlock()
	time.Sleep(time.Until(due)) // not at all if it was before
}

// settle ends the turbulence, and lets everybody come to an end.
func (w *world) settle() {
	w.mu.Lock()
	w.climate = climate{}
	w.storage.storm = storm{}
	w.authority.mend()
	w.note("world", "mended", "")
	w.mu.Unlock()
	time.Sleep(answerLimit)
}

// answered reports whether every operation has been answered.
func (w *world) answered() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := true
	for _, r := range w.runs {
		if r.running() {
			w.violated("unanswered: %s", r)
			all = false
		}
	}
	return all
}

// end stops every instance, those that were killed, too, and looks whether anything is left.
func (w *world) end(goroutines int) {
	for _, i := range w.instances {
		i.backend.Cleanup(context.Background())
	}
	time.Sleep(2 * answerLimit)
	w.mu.Lock()
	defer w.mu.Unlock()
	if runtime.NumGoroutine() > goroutines {
		w.judgeGoroutines()
	}
	w.tell()
}

// judgeGoroutines looks for goroutines of this bubble beside this one.
func (w *world) judgeGoroutines() {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] { // the first is this one
		header, _, _ := strings.Cut(stack, "\n")
		bubbles := strings.Contains(stack, "testing/synctest.")
		if strings.Contains(header, "synctest bubble") && !bubbles {
			w.violated("goroutines: one is left after Cleanup: %s", stack)
		}
	}
}

// random is what differs between two runs of one history: correlation ids and hashes.
var random = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{64}`)

// tell writes the trace into the outcome.
func (w *world) tell() {
	for _, e := range w.events {
		line := fmt.Sprintf("%12s  %-8s %s %s", e.at.Round(time.Microsecond), e.who, e.what, e.which)
		line = random.ReplaceAllString(strings.TrimRight(line, " "), "…")
		w.outcome.Trace = append(w.outcome.Trace, line)
	}
	slices.Sort(w.outcome.Violations)
	w.outcome.Violations = slices.Compact(w.outcome.Violations)
}

// sleep waits as long as ctx allows and reports whether that was all of d.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
