// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/pem"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// gitServer is git's own smart HTTP server with the repository /tools.git, behind TLS and Basic
// authentication with a password.
func gitServer(t *testing.T, password string) (server *httptest.Server, caFile string) {
	t.Helper()
	root := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q", "--bare", "tools.git")
	backend := &cgi.Handler{
		Path: filepath.Join(git("--exec-path"), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"},
	}
	if _, err := os.Stat(backend.Path); err != nil {
		t.Fatalf("git clones over HTTP by git-http-backend: %v", err)
	}
	server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="Azure DevOps"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server, certificateFile(t, server)
}

// certificateFile is a file with the certificate of a server.
func certificateFile(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, ca, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRealGit: git itself gets in with the token, asks nobody for a password when the person has to
// sign in, and goes on to its next helper for a host that is nobody's.
func TestRealGit(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Fatalf("the tests need git: %v", err)
	}
	v := vaultWithTokens(t)
	server, caFile := gitServer(t, "arm-token")
	host := strings.TrimPrefix(server.URL, "https://")
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	remote := func(mapped string) (out string, code int) {
		t.Helper()
		cmd := exec.Command("git", "-c", "credential.helper=!'"+own+"' git-credential",
			"ls-remote", server.URL+"/tools.git")
		cmd.Env = append(os.Environ(), envChild+"=vault-entra", "GIT_CONFIG_GLOBAL="+os.DevNull,
			"GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=", "SSH_ASKPASS=",
			"GIT_SSL_CAINFO="+caFile,
			"VAULT_ENTRA_MAP="+mapFile(t, `git "`+mapped+`" { account = "ci" role = "arm" }`))
		printed, _ := cmd.CombinedOutput() // the exit code says how it went
		return string(printed), cmd.ProcessState.ExitCode()
	}
	if out, code := remote(host); code != 0 || out != "" {
		t.Errorf("with the token: %d %s", code, out)
	}
	if out, code := remote("git.example.com"); code != 128 ||
		!strings.Contains(out, "could not read Username") {
		t.Errorf("a host that is nobody's: %d %s", code, out)
	}
	v.Answer("entra/token/ci/arm", vaulttest.Answer{Status: 400, Errors: []string{loginRequired}})
	if out, code := remote(host); code != 128 || strings.Contains(out, "could not read Username") ||
		!strings.Contains(out, "Run: vault-entra login -roles=arm ci") ||
		!strings.Contains(out, "told us to quit") {
		t.Errorf("login required: %d %s", code, out)
	}
}
