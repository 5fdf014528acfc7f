// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// importAccounts signs n users in, each at an account of the same name, by the
// quick way: with refresh tokens that Entra gave elsewhere.
func (e *engine) importAccounts(n int) []string {
	e.t.Helper()
	accounts := make([]string, n)
	for i := range accounts {
		name := fmt.Sprintf("user%03d", i)
		accounts[i] = name
		e.sim.control("users", object{"username": name + "@contoso.example"}, nil)
	}
	inParallel(accounts, func(name string) {
		if a, err := e.try("PUT", "entra/import/"+name, object{"refresh_token": e.sim.refreshToken(name)}); err != nil || a.status != 200 {
			e.t.Errorf("import/%s: %+v, %v", name, a, err)
		}
	})
	if e.t.Failed() {
		e.t.FailNow()
	}
	return accounts
}

// inParallel does something for each name, eight at a time.
func inParallel(names []string, do func(name string)) {
	var wg sync.WaitGroup
	work := make(chan string)
	for range 8 {
		wg.Go(func() {
			for name := range work {
				do(name)
			}
		})
	}
	for _, name := range names {
		work <- name
	}
	close(work)
	wg.Wait()
}

// storm is many readers of many accounts, who go on whatever they are told.
type storm struct {
	t        testing.TB
	accounts []string
	nodes    []*client
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
func newStorm(t testing.TB, readers int, accounts []string, nodes ...*client) *storm {
	t.Helper()
	s := &storm{t: t, accounts: accounts, nodes: nodes, stop: make(chan struct{}), errors: map[string]int{}}
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
		a, err := node.try("GET", "entra/token/"+s.accounts[rand.IntN(len(s.accounts))], nil)
		s.note(asked, a, err)
		pause := 10 * time.Millisecond
		if err != nil || a.status != 200 {
			pause = 50 * time.Millisecond
		}
		time.Sleep(pause)
	}
}

func (s *storm) note(asked time.Time, a *answer, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.errors["no answer"]++
		s.trouble = time.Now()
	case a.status != 200:
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
func firstWords(a *answer) string {
	if len(a.Errors) == 0 {
		return strconv.Itoa(a.status)
	}
	words, _, _ := strings.Cut(a.Errors[0], ":")
	return fmt.Sprintf("%d %.60s", a.status, words)
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
	eventually(s.t, upTime, "reads are served again", func() (err error) {
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
		if strings.Contains(what, "login_required") || strings.Contains(what, "access_denied") || strings.Contains(what, "client_rejected") {
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

// wantAllGood fails the test unless every account reads, and can still be
// refreshed: what is stored is a refresh token that Entra takes. An account that
// waits for what is remembered of a failure gets its time; one that has to sign
// in again is lost.
func (e *engine) wantAllGood(accounts []string) {
	e.t.Helper()
	var mu sync.Mutex
	var lost []string
	inParallel(accounts, func(name string) {
		err := e.proveGood(name)
		if err != nil {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, fmt.Sprintf("%s: %v", name, err))
		}
	})
	if len(lost) > 0 {
		e.t.Fatalf("%d of %d accounts do not work any more:\n%s", len(lost), len(accounts), strings.Join(lost, "\n"))
	}
}

// proveGood reads an account and refreshes it.
func (e *engine) proveGood(name string) error {
	deadline := time.Now().Add(90 * time.Second) // the backoff is a minute at most
	for _, ask := range []struct{ method, path string }{{"PUT", "entra/refresh/" + name}, {"GET", "entra/token/" + name}} {
		for {
			a, err := e.try(ask.method, ask.path, nil)
			if err == nil && a.status == 200 && len(a.Warnings) == 0 {
				break
			}
			if err == nil && (a.status == 400 || a.status == 404) || time.Now().After(deadline) {
				return fmt.Errorf("%s %s: %v, %+v", ask.method, ask.path, err, a)
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	return nil
}

// pluginProcesses are the plugin processes of a server that live: those in its own
// process group, so that no other is ever taken for one.
func (s *server) pluginProcesses() []int {
	s.t.Helper()
	listed, err := exec.Command("ps", "-A", "-o", "pid=,pgid=,args=").Output()
	if err != nil {
		s.t.Fatal(err)
	}
	var alive []int
	for _, line := range strings.Split(string(listed), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[1] != strconv.Itoa(s.process.cmd.Process.Pid) || filepath.Base(fields[2]) != pluginName {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		if err != nil {
			s.t.Fatal(err)
		}
		alive = append(alive, pid)
	}
	return alive
}

// killPlugin ends the plugin's process as a crash does. Vault notices, and starts
// another with the next request: one that was just killed is waited for.
func (s *server) killPlugin() {
	s.t.Helper()
	eventually(s.t, upTime, "a plugin process is there to be killed", func() error {
		killed := 0
		for _, pid := range s.pluginProcesses() {
			if err := syscall.Kill(pid, syscall.SIGKILL); err == nil {
				killed++
			}
		}
		if killed == 0 {
			return errors.New("none is")
		}
		return nil
	})
}

// holdRefreshes makes Entra leave every refresh without an answer, unprocessed, and
// returns when n wait. What ends meanwhile has spent no refresh token. clearFaults
// is for those that come after.
func (sim *simulator) holdRefreshes(n int) {
	sim.t.Helper()
	sim.control("faults", object{"endpoint": "token", "grant_type": "refresh_token", "hang": true}, nil)
	eventually(sim.t, upTime, fmt.Sprintf("%d refreshes wait at Entra", n), func() error {
		waiting := 0
		for _, r := range sim.requests() {
			if r.GrantType == "refresh_token" && !r.Done {
				waiting++
			}
		}
		if waiting < n {
			return fmt.Errorf("%d do", waiting)
		}
		return nil
	})
}

func (sim *simulator) clearFaults() {
	sim.t.Helper()
	req, err := http.NewRequest(http.MethodDelete, sim.Control+"faults", nil)
	if err != nil {
		sim.t.Fatal(err)
	}
	resp, err := sim.client().Do(req)
	if err != nil {
		sim.t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		sim.t.Fatalf("simulator faults: status %d", resp.StatusCode)
	}
}

// rotation sets what becomes of a used refresh token from now on.
func (sim *simulator) rotation(policy string) {
	sim.t.Helper()
	sim.control("policy", object{"rotation": policy}, nil)
}

// simulatorRequest is what the simulator's log says of a request.
type simulatorRequest struct {
	Time      time.Time `json:"time"`
	GrantType string    `json:"grant_type"`
	User      string    `json:"user"`
	Done      bool      `json:"done"`
}

func (sim *simulator) requests() []simulatorRequest {
	sim.t.Helper()
	var log []simulatorRequest
	sim.control("requests", nil, &log)
	return log
}
