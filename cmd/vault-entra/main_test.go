// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// envChild makes the test binary another program: vault-entra itself, or a child that run starts.
const envChild = "VAULT_ENTRA_TEST_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(envChild); what != "" {
		os.Exit(children[what](os.Args))
	}
	os.Exit(m.Run())
}

// invoke runs a command line in this process.
func invoke(t *testing.T, args ...string) (code int, out, said string) {
	t.Helper()
	var printed, messages strings.Builder
	code = start(append([]string{program}, args...),
		streams{strings.NewReader(""), &printed, &messages})
	return code, printed.String(), messages.String()
}

// expect fails the test unless the command line ends with a code and says the texts.
func expect(t *testing.T, code int, texts []string, args ...string) {
	t.Helper()
	got, out, said := invoke(t, args...)
	for _, text := range texts {
		if !strings.Contains(out+said, text) {
			t.Errorf("%q lacks %q: %s%s", args, text, out, said)
		}
	}
	if got != code {
		t.Errorf("%q ended with %d, want %d: %s%s", args, got, code, out, said)
	}
}

// vaultWithTokens is a Vault with an account ci, its default token for Graph and a role for ARM.
func vaultWithTokens(t *testing.T) *vaulttest.Server {
	t.Helper()
	v := vaulttest.New(t)
	const ttl, life = 50 * time.Minute, time.Hour
	v.AccessToken("entra/token/ci", "graph-token", "User.Read openid", ttl, life)
	v.AccessToken("entra/token/ci/arm", "arm-token",
		"https://management.azure.com//user_impersonation", ttl, life)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{"arm"}}})
	v.Answer("entra/roles/arm", vaulttest.Answer{Data: map[string]any{
		"scopes": []string{"https://management.azure.com//user_impersonation"}}})
	return v
}

// mapFile is a file with a map.
func mapFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "entra.hcl")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestUsage checks command lines that cannot be meant, and help.
func TestUsage(t *testing.T) {
	vaulttest.New(t)
	for _, test := range []struct {
		code int
		text string
		args []string
	}{
		{2, "Common commands:", nil},
		{0, "Common commands:", []string{"-help"}},
		{0, "vault-entra v", []string{"-version"}},
		{2, `There is no command "nonsense"`, []string{"nonsense"}},
		{0, "Usage: vault-entra login [options] ACCOUNT", []string{"login", "-help"}},
		{0, "Usage: vault-entra run [options] -- COMMAND", []string{"run", "-h"}},
		{2, "the name of an account is needed", []string{"login"}},
		{2, "one at a time: alice bob", []string{"login", "alice", "bob"}},
		{2, "do not go together", []string{"login", "-device", "alice", "-print"}},
		{2, "flag provided but not defined: -magic", []string{"login", "alice", "-magic"}},
		{2, `"a/b" is no name of an account`, []string{"login", "a/b"}},
		{2, "it is one of raw, json, header", []string{"token", "ci", "-format", "xml"}},
		{2, "-resource and -scope do not go together", []string{"token", "-resource=a", "-scope=b"}},
		{2, "which account? Give -account or -map", []string{"token"}},
		{2, `"a b" is no name`, []string{"token", "-role=a b", "ci"}},
		{2, "too many arguments: x", []string{"serve", "x"}},
		{2, "which account? Give -account or -map", []string{"serve"}},
		{2, "not for tcsh", []string{"completion", "tcsh"}},
		{125, "which command? It follows --", []string{"run", "-account=ci"}},
		{125, "which account?", []string{"run", "--", "true"}},
		{125, "flag provided but not defined: -magic", []string{"run", "-magic", "--", "true"}},
	} {
		expect(t, test.code, []string{test.text}, test.args...)
	}
}

// TestToken checks which token is printed, and how.
func TestToken(t *testing.T) {
	v := vaultWithTokens(t)
	for _, test := range []struct{ want, line string }{
		{"graph-token\n", "token ci"},
		{"graph-token\n", "token -account=ci"},
		{"arm-token\n", "token ci -role arm"},
		{"arm-token\n", "token ci -resource https://management.azure.com/"},
		{"arm-token\n", "token --scope=https://management.azure.com//.default ci"},
		{"graph-token\n", "token ci -scope User.Read"},
		{"graph-token\n", "token ci -resource=https://graph.microsoft.com"},
		{"Authorization: Bearer graph-token\n", "token ci -format header"},
	} {
		code, out, said := invoke(t, strings.Fields(test.line)...)
		if code != 0 || out != test.want || said != "" {
			t.Errorf("%s: %d %s%s", test.line, code, out, said)
		}
	}
	var printed printedToken
	_, out, _ := invoke(t, "token", "ci", "-format=json")
	if err := json.Unmarshal([]byte(out), &printed); err != nil || printed.AccessToken != "graph-token" ||
		printed.TTL != 3000 || printed.Path != "entra/token/ci" ||
		printed.Username != "ci@contoso.example" {
		t.Errorf("%s: %v", out, err)
	}
	t.Setenv("VAULT_ENTRA_ACCOUNT", "ci")
	expect(t, 0, []string{"graph-token"}, "token")
	expect(t, 1, []string{"entra/token/ci is no token for it", "Name a role by -role"},
		"token", "-resource=https://vault.azure.net")

	file := mapFile(t, `resource "https://vault.azure.net" { account = "ci" role = "arm" }`)
	expect(t, 0, []string{"arm-token"}, "token", "-map="+file, "-resource=https://vault.azure.net/")
	v.AccessToken("other/token/ci", "other-token", "User.Read", time.Minute, time.Hour)
	expect(t, 0, []string{"other-token"}, "token", "-mount=/other/", "ci")
}

// TestExitCodes checks the code of each kind of failure.
func TestExitCodes(t *testing.T) {
	v := vaultWithTokens(t)
	v.Refuse("entra/token/gone", 404, `no account "gone" in this mount. Run: vault write -f `+
		`entra/login/gone`)
	v.Refuse("entra/token/old", 400, `login_required: account "old" must sign in again. `+
		`Run: vault write entra/login/old roles=arm`)
	v.Refuse("entra/token/slow", 502, "entra_unavailable: no answer")
	v.Refuse("entra/token/many", 429, "rate limit quota exceeded")
	v.Refuse("entra/token/off", 400, "account_disabled: off")
	v.Refuse("entra/token/no", 403, "permission denied")
	expect(t, 3, []string{"Run: vault-entra login gone"}, "token", "gone")
	expect(t, 3, []string{"Run: vault-entra login -roles=arm old"}, "token", "old")
	expect(t, 4, []string{"entra_unavailable"}, "token", "slow")
	expect(t, 4, []string{"rate limit"}, "token", "many")
	expect(t, 1, []string{"account_disabled"}, "token", "off")
	expect(t, 1, []string{`do not grant "read" on entra/token/no`}, "token", "no")
	expect(t, 1, []string{"the map: open /no/such"}, "token", "-map=/no/such")
	v.Takes("another")
	expect(t, 3, []string{"Vault does not take the token any more. Run: vault login"}, "token", "ci")
	v.Seal(true)
	expect(t, 4, []string{"is sealed. Run: vault operator unseal"}, "token", "ci")
	v.Close()
	expect(t, 4, []string{"cannot be reached"}, "token", "ci")
	t.Setenv("VAULT_CLIENT_TIMEOUT", "soon")
	expect(t, 1, []string{"VAULT_CLIENT_TIMEOUT"}, "token", "ci")
}

// TestHelp checks that each command has a help that fits a terminal and names every option, and
// that the man page and the completion have it, too.
func TestHelp(t *testing.T) {
	_, page, _ := invoke(t, "man")
	for name, factory := range commands(streams{}) {
		made, err := factory()
		if err != nil {
			t.Fatal(err)
		}
		c := made.(*command)
		help := c.Help()
		if !strings.HasPrefix(help, "Usage: vault-entra "+name) || len(c.Synopsis()) > 50 ||
			strings.HasSuffix(c.Synopsis(), ".") {
			t.Errorf("%s: %q %s", name, c.Synopsis(), help)
		}
		for line := range strings.Lines(help) {
			if len(line) > 81 {
				t.Errorf("%s: a line of %d: %s", name, len(line), line)
			}
		}
		if !strings.Contains(page, ".SS "+program+" "+roff(c.usage)) {
			t.Errorf("the man page lacks %s", name)
		}
		c.flags.set.VisitAll(func(f *flag.Flag) {
			if !strings.Contains(help, "\n  -"+f.Name) {
				t.Errorf("the help of %s lacks -%s", name, f.Name)
			}
			if _, predicted := c.AutocompleteFlags()["-"+f.Name]; !predicted {
				t.Errorf("the completion of %s lacks -%s", name, f.Name)
			}
		})
	}
}

// TestManPage checks that man(1) has nothing to complain about, where it is installed.
func TestManPage(t *testing.T) {
	groff, err := exec.LookPath("groff")
	if err != nil {
		t.Skip("groff is not installed")
	}
	_, page, _ := invoke(t, "man")
	cmd := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z")
	cmd.Stdin = strings.NewReader(page)
	if complaints, err := cmd.CombinedOutput(); err != nil || len(complaints) > 0 {
		t.Errorf("%v: %s", err, complaints)
	}
}

// TestCompletion checks what a shell is told.
func TestCompletion(t *testing.T) {
	for line, want := range map[string]string{
		"vault-entra to":                  "token",
		"vault-entra tok":                 "token",
		"vault-entra token -for":          "-format",
		"vault-entra token -format ":      "header json raw",
		"vault-entra run -acc":            "-account",
		"vault-entra completion ":         "",
		"vault-entra -autocomplete-insta": "-autocomplete-install",
	} {
		cmd := asProgram(t, "vault-entra")
		cmd.Env = append(cmd.Environ(), "COMP_LINE="+line)
		out, err := cmd.Output()
		words := strings.Fields(string(out))
		slices.Sort(words)
		if got := strings.Join(words, " "); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", line, got, err, want)
		}
	}
	for shell := range completions {
		if code, out, _ := invoke(t, "completion", shell); code != 0 || !strings.Contains(out, program) {
			t.Errorf("%s: %d %s", shell, code, out)
		}
	}
}

// TestCompletionInBash has bash complete a line by the script, where it is installed.
func TestCompletionInBash(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Fatalf("the tests need bash: %v", err)
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, program)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash, "--norc", "-c", completions["bash"]+`complete -p vault-entra | tr -d \'
COMP_LINE="vault-entra serv" COMP_POINT=16 vault-entra`)
	cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH"), envChild + "=vault-entra", "HOME=" + dir}
	out, err := cmd.Output()
	if err != nil || string(out) != "complete -C vault-entra vault-entra\nserve\n" {
		t.Errorf("%q, %v", out, err)
	}
}

// TestDispatch checks what a link to the program stands for, and that a child's options are the
// child's.
func TestDispatch(t *testing.T) {
	for line, want := range map[string]string{
		"vault-entra token ci":                              "token ci",
		"/usr/bin/az account get-access-token":              "az account get-access-token",
		"/x/docker-credential-vault-entra get":              "docker-credential get",
		"git-credential-vault-entra.exe get":                "git-credential get",
		"vault-entra run terraform -help":                   "run -- terraform -help",
		"vault-entra run -account ci terraform -help":       "run -account ci -- terraform -help",
		"vault-entra run -account=ci -map m a --version":    "run -account=ci -map m -- a --version",
		"vault-entra run --account ci -- a -- b":            "run --account ci -- a -- b",
		"vault-entra run -help":                             "run -help",
		"vault-entra run":                                   "run",
		"vault-entra run -account":                          "run -account",
		"vault-entra run -unknown thing terraform -version": "run -unknown -- thing terraform -version",
	} {
		if got := strings.Join(dispatch(strings.Fields(line)), " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// freePort is a port that nobody listens on.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
