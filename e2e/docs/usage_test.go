// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// TestUsageTranscript: the transcript in docs/usage.md is what the commands print.
func TestUsageTranscript(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-token-lifetime", "1h")
	var out strings.Builder
	run := func(command string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir = t.TempDir()
		cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "VAULT_ADDR="+e.Addr,
			"VAULT_TOKEN="+e.Token, "VAULT_MAX_RETRIES=0",
			"PATH="+harness.Programs(t)+":"+os.Getenv("PATH"))
		printed, _ := cmd.CombinedOutput() // a command that is refused is part of it
		fmt.Fprintf(&out, "$ %s\n%s\n", command, printed)
		return string(printed)
	}
	say := func(text string) { fmt.Fprintf(&out, "# %s\n", text) }

	run("vault write entra/roles/arm scopes=https://management.azure.com//user_impersonation")
	say("Alice signs in by a loopback listener and consents to the role as well:")
	printed := run("vault write entra/login/alice roles=arm redirect_uri=" + harness.LoopbackURL)
	redirected := func(printed, user string) string {
		authURL := regexp.MustCompile(`auth_url +(\S+)`).FindStringSubmatch(printed)
		if authURL == nil {
			t.Fatalf("no auth_url in %s", printed)
		}
		var redirect struct {
			URL string `json:"url"`
		}
		e.Sim.Control("signin", object{
			"auth_url": authURL[1], "user": user, "action": "signin",
		}, &redirect)
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
	printed = run("vault write entra/login/carol redirect_uri=" + harness.LoopbackURL +
		" login_hint=bob@contoso.example")
	run("vault write entra/callback/carol url='" + redirected(printed, "bob") + "'")

	harness.HoldTranscript(t, "usage.md", out.String())
}
