// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// CommandLine is vault-entra as somebody with a Vault token runs it: the token is where vault login
// keeps it, and the programs of scripts/e2e-build.sh are on PATH.
func (s *Server) CommandLine(token string, args ...string) *exec.Cmd {
	s.T.Helper()
	cmd := exec.Command(Program(s.T, "vault-entra"), args...)
	cmd.Env = s.CommandLineEnvironment(token)
	return cmd
}

// CommandLineEnvironment is the environment of such a person, and nothing else.
func (s *Server) CommandLineEnvironment(token string) []string {
	s.T.Helper()
	home := s.T.TempDir()
	err := os.WriteFile(filepath.Join(home, ".vault-token"), []byte(token), 0o600)
	if err != nil {
		s.T.Fatal(err)
	}
	return []string{
		"HOME=" + home, "VAULT_ADDR=" + s.Addr,
		"PATH=" + Programs(s.T) + ":" + os.Getenv("PATH"),
	}
}

// Ends runs a command to its end and returns its exit code and what it printed.
func Ends(t testing.TB, cmd *exec.Cmd) (code int, out, said string) {
	t.Helper()
	var printed, messages Buffer
	cmd.Stdout, cmd.Stderr = &printed, &messages
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), printed.String(), messages.String()
}
