// SPDX-License-Identifier: MPL-2.0

package commandline

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// caller is a client that knows nothing of Vault, as somebody has set it up to use vault-entra.
type caller struct {
	name    string
	version string
	ask     func(resource string) (token string, err error) // resource is graph or arm

	wrong func() (token string, err error)          // asks with a wrong secret; nil = has none
	crowd func(calls int) (token string, err error) // makes calls at once; nil = cannot

	mu   sync.Mutex
	held []string // what was shown, in order
}

// callTime bounds one question to a client, with the SDKs' own retries and on a busy machine.
const callTime = 2 * time.Minute

// asking is a client program that answers lines of JSON (azure-go/main.go).
type asking struct {
	cmd   *exec.Cmd
	in    *json.Encoder
	lines *bufio.Scanner
	said  harness.Buffer
	mu    sync.Mutex
}

// start starts such a program, which is killed at the end of the test.
func start(t testing.TB, environment []string, name string, args ...string) *asking {
	t.Helper()
	a := &asking{cmd: exec.Command(name, args...)}
	a.cmd.Env = environment
	a.cmd.Stderr = &a.said
	in, err := a.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close() // its end of input: vault-entra run ends with it
		ended := time.AfterFunc(10*time.Second, func() { _ = a.cmd.Process.Kill() })
		_ = a.cmd.Wait() // how it ended is seen by what it printed
		ended.Stop()
	})
	a.in, a.lines = json.NewEncoder(in), bufio.NewScanner(out)
	a.lines.Buffer(nil, 1<<20)
	return a
}

// ask asks for a token, with a number of calls at once.
func (a *asking) ask(resource string, calls int) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	limit := time.AfterFunc(callTime, func() { _ = a.cmd.Process.Kill() })
	defer limit.Stop()
	if err := a.in.Encode(object{"resource": resource, "calls": calls}); err != nil {
		return "", fmt.Errorf("%w: %s", err, a.said.String())
	}
	if !a.lines.Scan() {
		return "", fmt.Errorf("no answer: %s", a.said.String())
	}
	var answer struct {
		Token     string `json:"token"`
		ExpiresOn int64  `json:"expires_on"`
		Error     string `json:"error"`
	}
	if err := json.Unmarshal(a.lines.Bytes(), &answer); err != nil {
		return "", fmt.Errorf("%w in %s", err, a.lines.Text())
	}
	if answer.Error != "" {
		return "", errors.New(answer.Error)
	}
	if answer.ExpiresOn != 0 && time.Unix(answer.ExpiresOn, 0).Before(time.Now().Add(-time.Second)) {
		return "", fmt.Errorf("the token is said to have expired, at %d", answer.ExpiresOn)
	}
	return answer.Token, nil
}

// setUp is the engine with an account that has two roles, and what people set up for programs.
type setUp struct {
	*harness.Engine
	mapFile     string
	environment []string // of a person with a Vault token, with az on PATH
	bare        []string // the same without az
}

// roleOf is the role of each resource.
var roleOf = map[string]string{graph: "mail", arm: "arm"}

func newSetUp(t *testing.T, more string, simulatorFlags ...string) *setUp {
	t.Helper()
	s := &setUp{Engine: harness.NewEngineWithRoles(t, simulatorFlags...)}
	s.SignInFor("ci", "alice", "mail,arm")
	dir := t.TempDir()
	s.mapFile = filepath.Join(dir, "entra.hcl")
	text := fmt.Sprintf(`account = "ci"
resource %q { role = "mail" }
resource %q { role = "arm" }
%s`, graph, arm, more)
	if err := os.WriteFile(s.mapFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.bare = append(s.CommandLineEnvironment(program(s.Engine).Token),
		"VAULT_ENTRA_MAP="+s.mapFile, "VAULT_MAX_RETRIES=0")
	s.environment = withLinks(t, s.bare)
	return s
}

// withLinks is the environment of a person who has linked vault-entra to the names that other
// programs call.
func withLinks(t *testing.T, environment []string) []string {
	t.Helper()
	links := t.TempDir()
	for _, name := range []string{"az", "git-credential-vault-entra", "docker-credential-vault-entra"} {
		err := os.Symlink(harness.Program(t, "vault-entra"), filepath.Join(links, name))
		if err != nil {
			t.Fatal(err)
		}
	}
	environment = slices.Clone(environment)
	for i, setting := range environment {
		if path, isPath := strings.CutPrefix(setting, "PATH="); isPath {
			environment[i] = "PATH=" + links + ":" + path
		}
	}
	return environment
}

// read is the token of a resource as vault read gives it.
func (s *setUp) read(resource string) string {
	s.T.Helper()
	return s.Get("entra/token/ci/" + roleOf[resource]).Want(200).Text("access_token")
}

// each does something with all callers at once, and notes what held.
func each(t *testing.T, callers []*caller, what string, check func(c *caller) error) {
	t.Helper()
	var all sync.WaitGroup
	for _, c := range callers {
		all.Go(func() {
			if err := check(c); err != nil {
				t.Errorf("%s, %s: %v", c.name, what, err)
				return
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			c.held = append(c.held, what)
		})
	}
	all.Wait()
}

// same is an error unless the caller gets the token of vault read. Between two reads Vault may have
// refreshed it.
func (s *setUp) same(c *caller, resource string) (string, error) {
	deadline := time.Now().Add(callTime)
	for {
		before := s.read(resource)
		got, err := c.ask(resource)
		if err == nil && (got == before || got == s.read(resource)) {
			if !s.Sim.Active(got) {
				return got, errors.New("Entra does not know the token, or it has ended")
			}
			return got, nil
		}
		if err == nil {
			err = errors.New("the token is not that of vault read")
		}
		if time.Now().After(deadline) {
			return got, err
		}
		time.Sleep(time.Second)
	}
}

// refuses is an error unless the caller comes to be told this instead of a token.
func refuses(c *caller, says string) error {
	deadline := time.Now().Add(callTime)
	for {
		_, err := c.ask(graph)
		if err != nil && strings.Contains(err.Error(), says) {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it is told %v, not %q", err, says)
		}
		time.Sleep(time.Second)
	}
}
