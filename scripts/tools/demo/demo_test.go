// SPDX-License-Identifier: MPL-2.0

// Package demo_test interrupts scripts/demo.sh in each of its phases. What it shows when it is
// left alone is tested end to end.
package demo_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// screen is what the demo printed so far.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Whatever phase Ctrl-C comes in, nothing is left running and no file is left. The server here
// is a script that starts another process, as Vault starts the plugin, and never comes up.
func TestDemoIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		vault string
		until func(shown, dir string) bool
	}{
		"while the plugin is built": {
			`case $1 in version) echo Vault v1.21.1;; *) exit 1;; esac`,
			func(shown, _ string) bool { return strings.Contains(shown, "build.sh plugins") },
		},
		"while the server is got": {
			`sleep 60`, // its version is waited for
			func(shown, _ string) bool { return strings.Contains(shown, "=== Get a server") },
		},
		"while the server starts": {
			`case $1 in
version) echo Vault v1.21.1;;
server) trap 'kill $child; exit' TERM; sleep 300 & child=$!; echo $child >up; wait;;
*) exit 1;;
esac`,
			func(_, dir string) bool {
				up, err := filepath.Glob(filepath.Join(dir, "entra-demo-*", "up"))
				return err == nil && len(up) > 0
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			bin := filepath.Join(dir, "vault")
			script := "#!/bin/sh\n" + test.vault + "\n"
			if err := os.WriteFile(bin, []byte(script), 0o755); err != nil {
				t.Fatal(err)
			}
			shown := &screen{}
			cmd := exec.Command(filepath.Join("..", "..", "demo.sh"))
			cmd.Env = append(os.Environ(), "VAULT_BIN="+bin, "TMPDIR="+dir, "ENTRA_TENANT_ID=",
				"ENTRA_CLIENT_ID=")
			cmd.Stdout, cmd.Stderr = shown, shown
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.WaitDelay = time.Minute
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for began := time.Now(); !test.until(shown.String(), dir); {
				if time.Since(began) > 3*time.Minute {
					_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
					t.Fatalf("it does not come so far:\n%s", shown)
				}
				time.Sleep(20 * time.Millisecond)
			}
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("%v:\n%s", err, shown)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "entra-demo-*")); err != nil ||
				len(left) > 0 {
				t.Errorf("left are %q, %v", left, err)
			}
			running, err := exec.Command("ps", "-eo", "args").Output()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(running)) {
				if strings.Contains(line, dir) {
					t.Errorf("still runs: %s", line)
				}
			}
		})
	}
}

// A server that is none is said before anything is built for it to run.
func TestDemoRefusesServer(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(filepath.Join("..", "..", "demo.sh"))
	cmd.Env = append(os.Environ(), "VAULT_BIN=/bin/echo", "TMPDIR="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is neither Vault nor OpenBao") {
		t.Errorf("%v:\n%s", err, out)
	}
}
