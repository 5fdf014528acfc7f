// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

const (
	// lifetime is how long a token lives. It is served for half of that, so a reader that
	// goes by ttl reads every eleven seconds, and has nine more until what it has is stale.
	lifetime = 20 * time.Second

	// expiries is how many times each reader's token has to be replaced in time.
	expiries = 3

	// patience bounds each wait for all readers.
	patience = 3 * time.Minute
)

// stage is an engine with readers, each of which has an account of alice's.
type stage struct {
	t     *testing.T
	e     *harness.Engine
	graph *graph
	seats []*seat
}

// failure is something that goes wrong with every account, and how it is mended.
type failure struct {
	name  string
	says  string // what a log says of it: the engine's error code
	cause func(st *stage)
	mend  func(st *stage)
}

var failures = []failure{
	{"outage", "entra_unavailable",
		func(st *stage) {
			st.e.Sim.Control("faults", object{"endpoint": "token", "status": 503}, nil)
		},
		func(st *stage) { st.e.Sim.ClearFaults() },
	},
	{"revoked grant", "login_required",
		func(st *stage) { st.e.Sim.Control("revoke", object{"user": "alice"}, nil) },
		func(st *stage) { st.each(func(s *seat) { s.e.SignInFor(s.account, "alice", "graph") }) },
	},
	{"disabled account", "account_disabled",
		func(st *stage) { st.each(func(s *seat) { s.write(object{"disabled": true}) }) },
		func(st *stage) { st.each(func(s *seat) { s.write(object{"disabled": false}) }) },
	},
	{"deleted account", "no account",
		func(st *stage) {
			st.each(func(s *seat) { st.e.Call("DELETE", "entra/account/"+s.account, nil).Want(204) })
		},
		func(st *stage) { st.each(func(s *seat) { s.e.SignInFor(s.account, "alice", "graph") }) },
	},
}

// Every reader has a token that is good, over expiries, and says in its log why it cannot
// get one. When that is mended it gets one again.
func TestReaders(t *testing.T) {
	st := newStage(t, readers())
	all, begun := slices.Clone(st.seats), time.Now()
	st.each((*seat).open)
	st.until("has replaced its token", true, func(s *seat) bool { return len(s.shown) > expiries })
	for _, s := range all {
		s.row.Changes, s.row.Stale = max(0, len(s.shown)-1), len(s.stale)
		s.countReads(begun, time.Now())
	}
	for _, f := range failures {
		st.fail(f)
	}
	for _, s := range all {
		t.Run(s.name, s.judge)
	}
}

// newStage seats readers, without those that need what is not on this machine.
func newStage(t *testing.T, all []*reader) *stage {
	t.Helper()
	st := &stage{t: t, e: harness.NewEngine(t, "-token-lifetime", lifetime.String())}
	st.e.Configure(object{"background_refresh": true})
	st.e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	st.graph = newGraph(st)
	for _, r := range all {
		var s *seat
		ready := t.Run(r.name+" is here", func(t *testing.T) { s = st.seat(t, r) })
		if ready && s != nil {
			st.seats = append(st.seats, s)
		}
	}
	return st
}

// seat gives a reader its account and its files.
func (st *stage) seat(sub *testing.T, r *reader) *seat {
	harness.Need(sub, r.needs...)
	if r.built != "" {
		if _, err := os.Stat(harness.Program(sub, r.built)); err != nil {
			sub.Fatal(err)
		}
	}
	dir := st.t.TempDir()
	s := &seat{
		reader: r, t: st.t, e: st.e, graph: st.graph, dir: dir, stale: map[string]bool{},
		file: filepath.Join(dir, "token"), log: filepath.Join(dir, "log"),
		row: row{Reader: r.name, Mark: "run", Test: "TestReaders"},
	}
	if s.account == "" {
		s.account = "reader-" + strings.Map(func(c rune) rune {
			if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
				return c
			}
			return '-'
		}, strings.ToLower(r.name))
	}
	if r.version != nil {
		s.row.Version = r.version(sub)
	}
	s.e.SignInFor(s.account, "alice", "graph")
	return s
}

func (s *seat) open() { s.process = s.start(s) }

// write changes the reader's account, as an operator does.
func (s *seat) write(fields object) { s.e.Put("entra/account/"+s.account, fields).Want(200, 204) }

func (st *stage) each(do func(s *seat)) {
	for _, s := range st.seats {
		do(s)
	}
}

// until looks at all readers until each has done something. Who does not is told of and
// leaves the stage, so that the others need not wait again.
func (st *stage) until(what string, served bool, done func(s *seat) bool) {
	st.t.Helper()
	var waiting []*seat
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		st.each(func(s *seat) { s.look(served) })
		waiting = slices.DeleteFunc(slices.Clone(st.seats), done)
		if len(waiting) == 0 {
			return
		}
	}
	for _, s := range waiting {
		st.t.Errorf("%s: not within %s: %s\n%s", s.name, patience, what, tail(s.said()))
	}
	st.seats = slices.DeleteFunc(st.seats, func(s *seat) bool { return slices.Contains(waiting, s) })
}

// fail lets something go wrong until every reader has said so, mends it, and waits until
// every reader has a token that was issued since.
func (st *stage) fail(f failure) {
	st.t.Helper()
	st.each((*seat).mark)
	f.cause(st)
	st.until("its log tells of the "+f.name, false, func(s *seat) bool { return s.hears(f) })
	f.mend(st)
	mended := time.Now()
	st.each(func(s *seat) {
		if s.ended() {
			s.failed(f).Ended = true
			s.open()
		}
	})
	st.until("it has a token again after the "+f.name, false, func(s *seat) bool {
		if s.latest().Issued.Before(mended) {
			return false
		}
		if was := s.failed(f); was.Seconds == 0 {
			was.Seconds = max(1, int(time.Since(mended).Seconds()))
		}
		return true
	})
}

// hears reports whether the reader's log tells of a failure, and notes the line.
func (s *seat) hears(f failure) bool {
	says := f.says
	if other, is := s.says[f.name]; is {
		says = other
	}
	for line := range strings.Lines(s.said()) {
		if i := strings.Index(line, says); i >= 0 {
			seen := s.failed(f)
			seen.Word, seen.Line = says, plain(line)
			return true
		}
	}
	return false
}

// failed is what the row has of a failure.
func (s *seat) failed(f failure) *seen {
	if s.row.Failures == nil {
		s.row.Failures = map[string]*seen{}
	}
	if s.row.Failures[f.name] == nil {
		s.row.Failures[f.name] = &seen{}
	}
	return s.row.Failures[f.name]
}

// judge is the reader's own test, once all is over.
func (s *seat) judge(t *testing.T) {
	if s.row.Changes < expiries {
		t.Errorf("%d token changes, want %d", s.row.Changes, expiries)
	}
	if s.row.Stale > 0 {
		t.Errorf("%d tokens had expired while the engine could give a good one", s.row.Stale)
	}
	for _, f := range failures {
		if was := s.failed(f); was.Word == "" || was.Seconds == 0 {
			t.Errorf("%s: it said %q and had a token again after %d s", f.name, was.Line, was.Seconds)
		}
	}
	if s.after != nil {
		s.after(t, s)
	}
	if t.Failed() {
		s.marked = 0
		t.Logf("its log:\n%s", tail(s.said()))
		return
	}
	addRow(s.row)
}

func tail(text string) string {
	const most = 4000
	if cut := len(text) - most; cut > 0 {
		return fmt.Sprintf("… (%d bytes)\n%s", cut, text[cut:])
	}
	return text
}
