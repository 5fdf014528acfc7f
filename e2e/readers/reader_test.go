// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// reader is a program that gets access tokens of an account.
type reader struct {
	name    string
	version func(t testing.TB) string
	account string   // whose tokens it reads; "reader-" and its name, unless it says so
	needs   []string // programs that may be missing on a machine, but not in CI
	built   string   // a program that scripts/e2e-build.sh builds for this reader alone

	// start starts it, so that its token shows in the seat's file and what it says in the
	// seat's log. A process that keeps a token is returned, nil for a program that is run
	// for every read.
	start func(s *seat) *harness.Process

	// says is what its log says of a failure, where that is not the engine's error code.
	says map[string]string

	// byTTL: it reads a second after ttl has passed, and not otherwise.
	byTTL bool

	// after looks at what it did during the expiries, if that is more than its tokens.
	after func(t *testing.T, s *seat)
}

// seat is one reader on the stage.
type seat struct {
	*reader
	t     testing.TB
	e     *harness.Engine
	graph *graph
	dir   string
	file  string // its first word is the token that the reader has
	log   string

	process *harness.Process
	marked  int // of the log, where the failure under way began
	shown   []shown
	mu      sync.Mutex
	stale   map[string]bool // tokens that it had expired, guarded by mu
	row     row
}

// shown is a token that a reader has had.
type shown struct {
	text string
	harness.AccessToken
}

// path is what the reader reads.
func (s *seat) path() string { return "entra/token/" + s.account + "/graph" }

// look notes the token that the reader has now. While the engine could give it a good one,
// an expired one is stale. What is run for every read uses its token at once: see used.
func (s *seat) look(served bool) {
	s.t.Helper()
	now := time.Now()
	content, err := os.ReadFile(s.file)
	words := strings.Fields(string(content))
	if err != nil || len(words) == 0 {
		return // it comes up
	}
	if n := len(s.shown); n == 0 || s.shown[n-1].text != words[0] {
		s.shown = append(s.shown, shown{words[0], s.e.Sim.AccessToken(words[0])})
	}
	if served && s.process != nil && now.After(s.latest().Expires) {
		s.isStale(words[0])
	}
}

// used makes a token show that a reader has just read, and reports whether it is good.
func (s *seat) used(token string) bool {
	good := s.e.Sim.Active(token)
	if !good {
		s.isStale(token)
	}
	s.show(token)
	return good
}

// show puts a token into the seat's file.
func (s *seat) show(token string) {
	next := s.file + ".next"
	if err := os.WriteFile(next, []byte(token+"\n"), 0o600); err != nil {
		s.t.Error(err)
	} else if err := os.Rename(next, s.file); err != nil {
		s.t.Error(err)
	}
}

func (s *seat) isStale(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stale[token] = true
}

// latest is the token that the reader has, zero before the first.
func (s *seat) latest() shown {
	if len(s.shown) == 0 {
		return shown{}
	}
	return s.shown[len(s.shown)-1]
}

// said is what the reader has logged since the failure under way began.
func (s *seat) said() string {
	content, _ := os.ReadFile(s.log) // one that was not written says nothing
	return string(content[min(s.marked, len(content)):])
}

// mark begins a failure: what was logged before is of another.
func (s *seat) mark() {
	s.marked = 0
	s.marked = len(s.said())
}

// ended reports whether the process of a reader that keeps a token has ended.
func (s *seat) ended() bool { return s.process != nil && s.process.Ended() }

// tell adds to the log of a reader that has none of its own.
func (s *seat) tell(text string) {
	f, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteString(strings.TrimSpace(text) + "\n"); err != nil {
		s.t.Error(err)
	}
}

// asked is the start of a reader that is run for every read: a command, again and again,
// pause after pause. It prints the token, or it shows it to Graph and print is false. What
// it says when it fails is its log.
func asked(pause time.Duration, print bool, command func(s *seat) *exec.Cmd) func(*seat) *harness.Process {
	return func(s *seat) *harness.Process {
		c := command(s)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				s.ask(print, c)
				select {
				case <-stop:
					return
				case <-time.After(pause):
				}
			}
		}()
		s.t.Cleanup(func() {
			close(stop)
			<-stopped
		})
		return nil
	}
}

// askTime bounds one run of a reader.
const askTime = time.Minute

// ask runs a command once.
func (s *seat) ask(print bool, c *exec.Cmd) {
	var out, said bytes.Buffer
	cmd := exec.Command(c.Path, c.Args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, &out, &said
	cmd.WaitDelay = time.Second
	err := cmd.Start()
	if err == nil {
		limit := time.AfterFunc(askTime, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		limit.Stop()
	}
	switch {
	case err != nil:
		s.tell(said.String() + out.String() + err.Error())
	case print:
		s.used(strings.TrimSpace(out.String()))
	}
}

// environment is what a reader that asks is told: where Vault is, and who it is there.
func (s *seat) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir,
		"VAULT_ADDR=" + s.e.Addr, "VAULT_TOKEN=" + s.e.Token,
	}
}

// The names in recipes that whoever copies one changes.
const (
	recipeVault   = "https://vault.example.com:8200"
	recipeAccount = "token/ci/graph"
)

// recipe is a file of docs/recipes for this reader: its own names are replaced, and further
// words, each of which the file must have.
func (s *seat) recipe(name string, replace ...string) (file string) {
	s.t.Helper()
	return copyRecipe(s.t, s.dir, name,
		append([]string{recipeAccount, "token/" + s.account + "/graph"}, replace...)...)
}

// copyRecipe writes a file of docs/recipes into a folder, with words replaced by others, each
// of which the file must have.
func copyRecipe(t testing.TB, dir, name string, replace ...string) (file string) {
	t.Helper()
	text := documentText(t, "recipes/"+name)
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			t.Fatalf("%s does not have %q", name, replace[i])
		}
		text = strings.ReplaceAll(text, replace[i], replace[i+1])
	}
	file = filepath.Join(dir, filepath.Base(name))
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

// tokenFile is a file with a token of Vault's, as Vault Agent is given one.
func (s *seat) tokenFile() string {
	s.t.Helper()
	file := filepath.Join(s.dir, "vault-token")
	if err := os.WriteFile(file, []byte(s.e.Token), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return file
}
