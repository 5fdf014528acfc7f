// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// loginCommand is vault-entra login as a person runs it.
type loginCommand struct {
	t    testing.TB
	cmd  *exec.Cmd
	in   *os.File
	out  harness.Buffer // what a script reads
	says harness.Buffer // what a person reads
}

// startLogin starts the command with a token from the token helper's file.
func startLogin(e *harness.Engine, args ...string) *loginCommand {
	e.T.Helper()
	home := e.T.TempDir()
	err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(e.Token), 0o600)
	if err != nil {
		e.T.Fatal(err)
	}
	c := &loginCommand{
		t: e.T, cmd: exec.Command(harness.Program(e.T, "vault-entra"),
			append([]string{"login"}, args...)...),
	}
	c.cmd.Env = []string{"HOME=" + home, "VAULT_ADDR=" + e.Addr, "PATH=" + os.Getenv("PATH")}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.says
	in, feed, err := os.Pipe()
	if err != nil {
		e.T.Fatal(err)
	}
	c.cmd.Stdin, c.in = in, feed
	if err := c.cmd.Start(); err != nil {
		e.T.Fatal(err)
	}
	in.Close()
	e.T.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		feed.Close()
	})
	return c
}

// finds waits until the command has said something.
func (c *loginCommand) finds(pattern string) string {
	c.t.Helper()
	expression := regexp.MustCompile(pattern)
	var found string
	harness.Eventually(c.t, 20*time.Second, "the command says "+pattern, func() error {
		if match := expression.FindStringSubmatch(c.says.String()); match != nil {
			found = match[len(match)-1]
			return nil
		}
		return errors.New("it says " + c.says.String())
	})
	return found
}

// ends waits for the command and returns its exit status.
func (c *loginCommand) ends() int {
	c.t.Helper()
	ended := make(chan struct{})
	go func() {
		_ = c.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(40 * time.Second):
		c.t.Fatalf("the command does not end: %s", c.says.String())
	}
	return c.cmd.ProcessState.ExitCode()
}

const addressPattern = `(?s)(https://127\S+)`

// The three ways to sign in at a terminal, and how each can end.
func TestLoginCommand(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t)
	e.Configure(object{"redirect_uris": []string{e.CallbackURL(), harness.LoopbackURL}})

	// By a browser that comes back to the listener.
	c := startLogin(e, "-roles", "arm", "alice")
	authURL := c.finds(addressPattern)
	resp, err := e.Arrive(authURL, "alice", "signin")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the listener answered %v, %v", resp, err)
	}
	resp.Body.Close()
	if exit := c.ends(); exit != 0 ||
		!strings.Contains(c.out.String(), "Signed in as Alice Ahlgren (alice@contoso.example).") ||
		!strings.Contains(c.out.String(), "vault-entra token -role=arm alice") {
		t.Errorf("exit %d: %s%s", exit, c.out.String(), c.says.String())
	}
	e.Get("entra/token/alice/arm").Want(200)

	// By pasting, for a script.
	c = startLogin(e, "-print", "-format=json", "bob")
	redirect := e.RedirectOf(c.finds(addressPattern), "bob", "signin")
	if _, err := c.in.WriteString(redirect + "\n"); err != nil {
		t.Fatal(err)
	}
	var result struct{ Account, Username string }
	if exit := c.ends(); exit != 0 || json.Unmarshal([]byte(c.out.String()), &result) != nil ||
		result.Username != "bob@contoso.example" {
		t.Errorf("exit %d: %s%s", exit, c.out.String(), c.says.String())
	}

	// A wrong account, a cancelled sign-in, a device code that is not allowed.
	c = startLogin(e, "-no-browser", "alice")
	resp, err = e.Arrive(c.finds(addressPattern), "alice", "cancel")
	if err != nil || resp.StatusCode != 502 {
		t.Fatalf("the listener answered %v, %v", resp, err)
	}
	resp.Body.Close()
	if exit := c.ends(); exit != 1 || !strings.Contains(c.says.String(), "login_failed: ") {
		t.Errorf("exit %d: %s", exit, c.says.String())
	}
	c = startLogin(e, "-device", "alice")
	if exit := c.ends(); exit != 1 || !strings.Contains(c.says.String(), "allow_device_code=true") {
		t.Errorf("exit %d: %s", exit, c.says.String())
	}

	// Ctrl-C leaves nothing half done.
	c = startLogin(e, "alice")
	c.finds(addressPattern)
	if err := c.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if exit := c.ends(); exit != 130 {
		t.Errorf("exit %d: %s", exit, c.says.String())
	}
	e.Get("entra/token/alice").Want(200)

	// By a device code.
	e.Configure(object{
		"client_id": e.Sim.PublicClientID, "client_secret": "", "allow_device_code": true,
	})
	c = startLogin(e, "-device", "carol")
	code := c.finds(`enter the code\s+(\S+)`)
	e.Sim.Control("device", object{"user_code": code, "user": "carol", "action": "signin"}, nil)
	if exit := c.ends(); exit != 0 ||
		!strings.Contains(c.out.String(), "Signed in as carol@contoso.example.") {
		t.Errorf("exit %d: %s%s", exit, c.out.String(), c.says.String())
	}
	e.Get("entra/token/carol").Want(200)
	c = startLogin(e, "-device", "alice2")
	code = c.finds(`enter the code\s+(\S+)`)
	e.Sim.Control("device", object{"user_code": code, "user": "alice", "action": "cancel"}, nil)
	if exit := c.ends(); exit != 1 || !strings.Contains(c.says.String(), "login_failed: ") {
		t.Errorf("exit %d: %s", exit, c.says.String())
	}
}

// TestSignInTranscript: the transcript in docs/sign-in.md is what the command prints.
func TestSignInTranscript(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t)
	e.Configure(object{
		"client_id": e.Sim.PublicClientID, "client_secret": "", "allow_device_code": true,
	})
	var made strings.Builder
	say := func(command string, c *loginCommand) {
		if exit := c.ends(); exit != 0 {
			t.Fatalf("%s: exit %d: %s", command, exit, c.says.String())
		}
		fmt.Fprintf(&made, "$ %s\n%s%s\n", command, c.says.String(), c.out.String())
	}
	visit := func(authURL, user, action string) {
		resp, err := e.Arrive(authURL, user, action)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}

	c := startLogin(e, "-no-browser", "-roles", "mail", "alice")
	visit(c.finds(addressPattern), "alice", "signin")
	say("vault-entra login -no-browser -roles mail alice", c)

	c = startLogin(e, "-device", "alice")
	code := c.finds(`enter the code\s+(\S+)`)
	e.Sim.Control("device", object{"user_code": code, "user": "alice", "action": "signin"}, nil)
	say("vault-entra login -device alice", c)

	harness.HoldTranscript(t, "sign-in.md", made.String())
}
