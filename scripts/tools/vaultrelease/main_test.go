// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
)

var built string // this program

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "vaultrelease-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built = filepath.Join(dir, "vaultrelease")
	code := 1
	if out, err := exec.Command("go", "build", "-o", built, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %s\n", err, out)
	} else {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// fetched runs the program and returns what it prints.
func fetched(t *testing.T, env []string, args ...string) (path, complaint string, err error) {
	t.Helper()
	var out, complaints bytes.Buffer
	cmd := exec.Command(built, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err = cmd.Run()
	return strings.TrimSpace(out.String()), complaints.String(), err
}

func TestFetch(t *testing.T) {
	t.Parallel()
	r := newRelease(t, "1.2.3")
	server := httptest.NewServer(r)
	defer server.Close()
	dir := t.TempDir()
	path, complaint, err := fetched(t, nil, "-url", server.URL, "-key", r.key, "1.2.3", dir)
	if err != nil || filepath.Dir(path) != dir {
		t.Fatalf("%v, %q: %s", err, path, complaint)
	}
	out, err := exec.Command(path, "version").Output()
	if err != nil || string(out) != "Vault v1.2.3, a script\n" {
		t.Errorf("%v, what was fetched says %q", err, out)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, left are %v", err, entries)
	}
}

// What is not HashiCorp's, not whole or not signed is not installed.
func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		spoil func(*testing.T, *release)
		says  string
	}{
		"checksum": {func(t *testing.T, r *release) {
			r.files[r.path(".zip")] = append(r.files[r.path(".zip")], 'x')
		}, "checksum does not match"},
		"checksums changed after signing": {func(t *testing.T, r *release) {
			sums := r.path("SHA256SUMS")
			r.files[sums] = append(r.files[sums], '\n')
		}, "unable to verify checksums signature"},
		"signature by another key": {func(t *testing.T, r *release) {
			stranger, err := openpgp.NewEntity("Stranger", "", "s@example.com", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.sign(t, stranger)
		}, "unable to verify checksums signature"},
		"no signature": {func(t *testing.T, r *release) {
			delete(r.files, r.path(".sig"))
		}, "404"},
		"no such version": {func(t *testing.T, r *release) {
			clear(r.files)
		}, "404"},
		"hangs in the index": {func(t *testing.T, r *release) {
			r.hangs = ".json"
		}, "sent nothing for 1s"},
		"hangs in the archive": {func(t *testing.T, r *release) {
			r.hangs = ".zip"
		}, "sent nothing for 1s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRelease(t, "1.2.3")
			test.spoil(t, r)
			server := httptest.NewServer(r)
			defer server.Close()
			dir := t.TempDir()
			began := time.Now()
			path, complaint, err := fetched(t, nil, "-url", server.URL, "-key", r.key,
				"-patience", "1s", "1.2.3", dir)
			if err == nil || path != "" || !strings.Contains(complaint, test.says) {
				t.Errorf("%v, %q: %q does not say %q", err, path, complaint, test.says)
			}
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			if _, err := os.Stat(filepath.Join(dir, "vault")); err == nil {
				t.Error("it is installed all the same")
			}
		})
	}
}

// HashiCorp's own key is the one that counts where none is handed in.
func TestFetchWantsHashiCorpsKey(t *testing.T) {
	t.Parallel()
	r := newRelease(t, "1.2.3")
	server := httptest.NewServer(r)
	defer server.Close()
	_, complaint, err := fetched(t, nil, "-url", server.URL, "1.2.3", t.TempDir())
	if err == nil || !strings.Contains(complaint, "unable to verify checksums signature") {
		t.Errorf("%v: %s", err, complaint)
	}
}

// The release's host need not be known here: the proxy is asked for it.
func TestFetchByProxy(t *testing.T) {
	t.Parallel()
	r := newRelease(t, "1.2.3")
	proxy := httptest.NewServer(r) // it gets the whole URL, and serves its path
	defer proxy.Close()
	env := []string{"HTTP_PROXY=" + proxy.URL, "http_proxy=" + proxy.URL, "NO_PROXY=", "no_proxy="}
	path, complaint, err := fetched(t, env, "-url", "http://releases.example", "-key", r.key,
		"1.2.3", t.TempDir())
	if err != nil || path == "" {
		t.Errorf("%v, %q: %s", err, path, complaint)
	}
}
