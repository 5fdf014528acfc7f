// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// machine is where scripts/vault.sh runs: a home of its own, and a PATH with the real
// programs, before which a test may put others.
type machine struct {
	t          *testing.T
	home, bin  string
	env        []string
	out, error bytes.Buffer
}

// want is the version that scripts/vault/go.mod names.
func wanted(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../vault/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "\tgithub.com/hashicorp/vault v")
	if !found {
		t.Fatal("scripts/vault/go.mod names no version of Vault")
	}
	version, _, _ := strings.Cut(rest, " ")
	return version
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, home: t.TempDir(), bin: t.TempDir()}
	// Nobody listens there: no release, unless a test serves one.
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	goCache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	m.env = append(os.Environ(), "GOCACHE="+strings.TrimSpace(string(goCache)), "PATH="+m.bin+":"+os.Getenv("PATH"), "VAULT_BIN=",
		"XDG_CACHE_HOME="+m.home, "VAULT_RELEASES=http://"+refused.Addr().String(),
		"VAULT_RELEASES_KEY=", "TMPDIR="+t.TempDir())
	return m
}

// program puts a shell script on the PATH, before the real ones.
func (m *machine) program(name, body string) string {
	m.t.Helper()
	path := filepath.Join(m.bin, name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		m.t.Fatal(err)
	}
	return path
}

// compiler puts a go on the PATH that does not build Vault, which takes minutes, but does
// what body says with the file $out; all else the real one does.
func (m *machine) compiler(body string) {
	m.t.Helper()
	goPath, err := exec.LookPath("go")
	if err != nil {
		m.t.Fatal(err)
	}
	m.program("go", fmt.Sprintf(`case "$*" in
*"-tags=minimal"*) ;;
*) exec %q "$@" ;;
esac
[ "$1" = build ] || { echo github.com/hashicorp/vault; exit; }
while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
%s`, goPath, body))
}

func (m *machine) start() *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command("../../vault.sh")
	cmd.Env = m.env
	cmd.Stdout, cmd.Stderr = &m.out, &m.error
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	return cmd
}

// run runs the script, and returns the path that it prints.
func (m *machine) run() (string, error) {
	m.t.Helper()
	m.out.Reset()
	m.error.Reset()
	err := m.start().Wait()
	return strings.TrimSpace(m.out.String()), err
}

func (m *machine) says(want string) {
	m.t.Helper()
	if !strings.Contains(m.error.String(), want) {
		m.t.Errorf("it does not say %q:\n%s", want, &m.error)
	}
}

// kept is the names of what is in the cache.
func (m *machine) kept() (names []string) {
	m.t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.home, "vault-plugin-secrets-entra"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		m.t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// builds is a compiler's body that makes a Vault of the version.
func builds(version string) string {
	return fmt.Sprintf(`printf '#!/bin/sh\necho Vault v%s\n' >"$out"; chmod +x "$out"`, version)
}

func TestServerOfOnesOwn(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		vault, bao, bin string // what they say of their version
		want, says      string
	}{
		"VAULT_BIN, a Vault":     {bin: "echo Vault v9.9.9", want: "bin", says: "(VAULT_BIN), Vault v9"},
		"VAULT_BIN, an OpenBao":  {bin: "echo OpenBao v2.5.0", want: "bin", says: "OpenBao v2.5.0"},
		"VAULT_BIN, neither":     {bin: "echo Kubernetes", says: `neither Vault nor OpenBao`},
		"VAULT_BIN, silent":      {bin: "exit 1", says: `its version is ""`},
		"VAULT_BIN, endless":     {bin: "yes", says: `its version is "y"`},
		"VAULT_BIN before PATH":  {bin: "echo Vault v1", vault: "echo Vault v2", want: "bin"},
		"vault on PATH":          {vault: "echo Vault v9.9.9", want: "vault", says: "(PATH)"},
		"bao on PATH":            {bao: "echo OpenBao v2.5.0", want: "bao", says: "OpenBao v2"},
		"vault before bao":       {vault: "echo Vault v1", bao: "echo OpenBao v2", want: "vault"},
		"another vault, and bao": {vault: "echo 1.0", bao: "echo OpenBao v2.5.0", want: "bao"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			for name, body := range map[string]string{
				"vault": test.vault, "bao": test.bao, "bin": test.bin,
			} {
				if body != "" {
					path := m.program(name, body)
					if name == "bin" {
						m.env = append(m.env, "VAULT_BIN="+path)
					}
				}
			}
			path, err := m.run()
			if (err == nil) != (test.want != "") || path != "" && filepath.Base(path) != test.want {
				t.Errorf("%v, %q, want %q", err, path, test.want)
			}
			m.says(test.says)
			if names := m.kept(); names != nil {
				t.Errorf("the cache holds %q", names)
			}
		})
	}
	for _, bin := range []string{"/nowhere/vault", t.TempDir(), "script_test.go"} {
		m := newMachine(t)
		m.env = append(m.env, "VAULT_BIN="+bin)
		if path, err := m.run(); err == nil {
			t.Errorf("VAULT_BIN=%s: %q", bin, path)
		}
		m.says("is no program")
	}
}

func TestServerHangs(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.env = append(m.env, "VAULT_BIN="+m.program("hangs", "exec sleep 300"))
	began := time.Now()
	if path, err := m.run(); err == nil {
		t.Errorf("%q is taken for a server", path)
	}
	m.says(`its version is ""`)
	if took := time.Since(began); took > 60*time.Second {
		t.Errorf("it took %s", took)
	}
}

// The release is fetched once, then kept; the build is not reached.
func TestServerIsReleased(t *testing.T) {
	t.Parallel()
	version := wanted(t)
	r := newRelease(t, version)
	server := httptest.NewServer(r)
	defer server.Close()
	m := newMachine(t)
	m.compiler("exit 1")
	m.env = append(m.env, "VAULT_RELEASES="+server.URL, "VAULT_RELEASES_KEY="+r.key)
	first, err := m.run()
	if err != nil {
		t.Fatalf("%v:\n%s", err, &m.error)
	}
	m.says("(HashiCorp's release), Vault v" + version)
	if names := m.kept(); len(names) != 2 || names[1] != names[0]+".sha256" {
		t.Errorf("the cache holds %q", names)
	}
	server.Close()
	if second, err := m.run(); err != nil || second != first {
		t.Errorf("the second run: %v, %q", err, second)
	}
	m.says("(kept)")
}

// However the release fails, what follows is the build, and soon.
func TestServerIsBuilt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*release)
		says  string
	}{
		"wrong checksum": {func(r *release) {
			r.files[r.path(".zip")] = append(r.files[r.path(".zip")], 'x')
		}, "checksum does not match"},
		"wrong signature": {func(r *release) {
			r.files[r.path("SHA256SUMS")] = []byte("0  x\n")
		}, "unable to verify checksums signature"},
		"hanging server":  {func(r *release) { r.hangs = ".json" }, "not reached"},
		"no such release": {func(r *release) { clear(r.files) }, "not reached"},
		"nobody listens":  {nil, "not reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.compiler(builds(wanted(t)))
			if test.spoil != nil {
				r := newRelease(t, wanted(t))
				test.spoil(r)
				server := httptest.NewServer(r)
				defer server.Close()
				m.env = append(m.env, "VAULT_RELEASES="+server.URL, "VAULT_RELEASES_KEY="+r.key)
			}
			path, err := m.run()
			if err != nil || !strings.Contains(path, "-small-") {
				t.Errorf("%v, %q:\n%s", err, path, &m.error)
			}
			m.says(test.says)
			m.says("(built), Vault v" + wanted(t))
			if names := m.kept(); len(names) != 2 {
				t.Errorf("the cache holds %q", names)
			}
		})
	}
}

// The release is asked for by the proxy that the environment names.
func TestServerByProxy(t *testing.T) {
	t.Parallel()
	r := newRelease(t, wanted(t))
	proxy := httptest.NewServer(r)
	defer proxy.Close()
	m := newMachine(t)
	m.compiler("exit 1")
	m.env = append(m.env, "VAULT_RELEASES=http://releases.example", "VAULT_RELEASES_KEY="+r.key,
		"http_proxy="+proxy.URL, "HTTP_PROXY="+proxy.URL, "no_proxy=", "NO_PROXY=")
	if path, err := m.run(); err != nil || strings.Contains(path, "-small-") {
		t.Errorf("%v, %q:\n%s", err, path, &m.error)
	}
}

// What is kept is used only if it is whole and of the version that is wanted.
func TestKeptServer(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(t *testing.T, path string)
		says  string
	}{
		"damaged": {func(t *testing.T, path string) {
			write(t, path, "#!/bin/sh\necho Vault v"+wanted(t)+" # other bytes\n")
		}, "is damaged: it is made anew"},
		"half": {func(t *testing.T, path string) {
			write(t, path, "")
		}, "is damaged: it is made anew"},
		"no checksum": {func(t *testing.T, path string) {
			if err := os.Remove(path + ".sha256"); err != nil {
				t.Fatal(err)
			}
		}, "is damaged: it is made anew"},
		"another version": {func(t *testing.T, path string) {
			write(t, path, "#!/bin/sh\necho Vault v0.1.0\n")
			sum, err := exec.Command("sh", "-c", `sha256sum <"$0" | cut -d" " -f1`, path).Output()
			if err != nil {
				t.Fatal(err)
			}
			write(t, path+".sha256", string(sum))
		}, `is "Vault v0.1.0", not v`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.compiler(builds(wanted(t)))
			path, err := m.run()
			if err != nil {
				t.Fatalf("%v:\n%s", err, &m.error)
			}
			test.spoil(t, path)
			if again, err := m.run(); err != nil || again != path {
				t.Errorf("%v, %q", err, again)
			}
			m.says(test.says)
			m.says("(built)")
			if again, err := m.run(); err != nil || again != path {
				t.Errorf("%v, %q", err, again)
			}
			m.says("(kept)")
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

// A build that fails, for want of room or of anything, says why and leaves nothing.
func TestServerIsNotBuilt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ compiler, df, says string }{
		"disk full at the start": {builds("1"), `echo; echo fs 9 8 2048 99% /`,
			"has 2 MB left, and 1 GB is needed"},
		"disk full in the build": {
			`echo half >"$out"; echo "write $out: no space left on device" >&2; exit 1`, "",
			"no space left on device"},
		"another version": {builds("0.0.1"), "", "what was made is \"Vault v0.0.1\", not Vault v"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.compiler(test.compiler)
			if test.df != "" {
				m.program("df", test.df)
			}
			if path, err := m.run(); err == nil || path != "" {
				t.Errorf("%v, %q", err, path)
			}
			m.says(test.says)
			if names := m.kept(); len(names) != 0 {
				t.Errorf("the cache holds %q", names)
			}
		})
	}
	m := newMachine(t)
	write(t, filepath.Join(m.home, "vault-plugin-secrets-entra"), "a file where a folder should be")
	if _, err := m.run(); err == nil {
		t.Error("a cache that is no folder is used")
	}
	m.says("cannot be written")
}

// Ctrl-C while the release is fetched or Vault is built ends all that was started, and leaves
// no half file. So does a signal to the script alone, as from the demo.
func TestServerIsInterrupted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		signal syscall.Signal
		group  bool
		fetch  bool
	}{
		"Ctrl-C in the build":     {syscall.SIGINT, true, false},
		"SIGTERM in the build":    {syscall.SIGTERM, false, false},
		"Ctrl-C in the download":  {syscall.SIGINT, true, true},
		"SIGTERM in the download": {syscall.SIGTERM, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			begun := filepath.Join(m.home, "begun")
			m.compiler(`echo half >"$out"; echo $$ >` + begun + `; sleep 300`)
			ctx, stop := context.WithTimeout(t.Context(), 90*time.Second)
			defer stop()
			if test.fetch {
				r := newRelease(t, wanted(t))
				r.hangs = ".zip"
				server := httptest.NewServer(r)
				defer server.Close()
				m.env = append(m.env, "VAULT_RELEASES="+server.URL, "VAULT_RELEASES_KEY="+r.key)
			}
			cmd := m.start()
			for ready := false; !ready; time.Sleep(20 * time.Millisecond) {
				if ctx.Err() != nil {
					t.Fatalf("it does not begin:\n%s", &m.error)
				}
				if test.fetch {
					half := filepath.Join(m.home, "*", ".vault-*", "release", "vault_*")
					found, err := filepath.Glob(half)
					ready = err == nil && len(found) > 0
				} else {
					content, err := os.ReadFile(begun)
					ready = err == nil && len(content) > 0
				}
			}
			target := cmd.Process.Pid
			if test.group {
				target = -target
			}
			if err := syscall.Kill(target, test.signal); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 130 {
				t.Errorf("%v:\n%s", err, &m.error)
			}
			if names := m.kept(); len(names) != 0 {
				t.Errorf("the cache holds %q", names)
			}
			out, err := exec.Command("ps", "-eo", "args").Output()
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, m.home) || strings.Contains(line, m.bin) {
					t.Errorf("still runs: %s", line)
				}
			}
		})
	}
}

// Two runs at once make one server.
func TestServerIsMadeOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	count := filepath.Join(m.home, "count")
	m.compiler("echo >>" + count + "; sleep 3\n" + builds(wanted(t)))
	first := m.start()
	other := &machine{t: t, home: m.home, bin: m.bin, env: m.env}
	second := other.start()
	if err := errors.Join(first.Wait(), second.Wait()); err != nil {
		t.Fatalf("%v:\n%s\n%s", err, &m.error, &other.error)
	}
	if m.out.String() != other.out.String() {
		t.Errorf("the paths are %q and %q", &m.out, &other.out)
	}
	content, err := os.ReadFile(count)
	if err != nil || len(content) != 1 {
		t.Errorf("%v, built %d times", err, len(content))
	}
}
