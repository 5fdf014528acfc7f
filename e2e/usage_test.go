// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the transcripts into the documents instead of comparing them")

const (
	transcriptBegin = "<!-- made by TestUsageTranscript: go -C e2e test -run TestUsageTranscript . -update -->\n"
	transcriptEnd   = "<!-- end of the transcript -->\n"
)

// What differs from run to run, and what stands for it in a document.
var volatile = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "2026-11-23T18:00:00Z"},
	{regexp.MustCompile(`eyJ[\w.-]{40,}`), "eyJhbGciOiJSUzI1NiIs…"},
	{regexp.MustCompile(`((?:state|nonce|code_challenge|code|session_state)=)[\w.%-]{20,}`), "${1}…"},
	{regexp.MustCompile(`(login_id +)\S+`), "${1}kgNrHjScm9M5yAlC"},
	{regexp.MustCompile(`(correlation_id(?::| ))[0-9a-f-]{36}`), "${1}bdfdebef-8af4-47bf-8d69-ed8f07c4b4ea"},
	{regexp.MustCompile(`https://127\.0\.0\.1:\d+`), "https://login.example"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "https://vault.example.com"},
	{regexp.MustCompile(`(ttl +)\S+`), "${1}50m"},
	{regexp.MustCompile(`(rotation_period +)\S+`), "${1}50m"},
	{regexp.MustCompile(` +\n`), "\n"},
}

// TestUsageTranscript: the transcript in docs/usage.md is what the commands print.
func TestUsageTranscript(t *testing.T) {
	t.Parallel()
	e := newEngine(t, "-token-lifetime", "1h")
	var out strings.Builder
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "VAULT_ADDR="+e.addr, "VAULT_TOKEN="+e.token, "VAULT_MAX_RETRIES=0",
			"PATH="+filepath.Dir(vaultOnPath(t))+":"+os.Getenv("PATH"))
		printed, _ := cmd.CombinedOutput() // a command that is refused is part of it
		fmt.Fprintf(&out, "$ %s\n%s\n", command, printed)
		return string(printed)
	}
	say := func(text string) { fmt.Fprintf(&out, "# %s\n", text) }

	run("vault write entra/roles/arm scopes=https://management.azure.com//.default")
	say("Alice signs in by a loopback listener and consents to the role as well:")
	printed := run("vault write entra/login/alice roles=arm redirect_uri=" + loopbackURL)
	redirected := func(printed, user string) string {
		authURL := regexp.MustCompile(`auth_url +(\S+)`).FindStringSubmatch(printed)
		if authURL == nil {
			t.Fatalf("no auth_url in %s", printed)
		}
		var redirect struct {
			URL string `json:"url"`
		}
		e.sim.control("signin", object{"auth_url": authURL[1], "user": user, "action": "signin"}, &redirect)
		return redirect.URL
	}
	run("vault write entra/callback/alice url='" + redirected(printed, "alice") + "'")
	run("vault read entra/token/alice/arm")
	say("A role that she has not consented to:")
	run("vault write entra/roles/mail scopes=Mail.Read")
	run("vault read entra/token/alice/mail")
	say("An operator's view:")
	run("vault list -detailed entra/account")
	run("vault write entra/account/alice metadata=team=platform disabled=true")
	run("vault read -field=access_token entra/token/alice")
	run("vault write entra/account/alice disabled=false")
	say("An account that only Carol may sign in to:")
	run("vault write entra/account/carol username=carol@contoso.example")
	printed = run("vault write entra/login/carol redirect_uri=" + loopbackURL + " login_hint=bob@contoso.example")
	run("vault write entra/callback/carol url='" + redirected(printed, "bob") + "'")

	made := out.String()
	for _, v := range volatile {
		made = v.what.ReplaceAllString(made, v.by)
	}
	block := transcriptBegin + "```\n" + strings.TrimRight(made, "\n") + "\n```\n" + transcriptEnd
	path := filepath.Join("..", "docs", "usage.md")
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(document), transcriptBegin)
	_, after, ended := strings.Cut(rest, transcriptEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the transcript", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+block+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if before+block+after != string(document) {
		t.Errorf("the transcript in %s is not what the commands print (write it anew with -update):\n%s", path, made)
	}
}

// vaultOnPath is the server's binary under the name that a person types.
func vaultOnPath(t testing.TB) string {
	t.Helper()
	link := filepath.Join(t.TempDir(), "vault")
	if err := os.Symlink(built.vault, link); err != nil {
		t.Fatal(err)
	}
	return link
}
