// SPDX-License-Identifier: MPL-2.0

package commandline

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// TestCommandLineTranscript: the transcript in docs/command-line.md is what the commands print.
func TestCommandLineTranscript(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t, "-token-lifetime", "1h")
	e.SignInFor("ci", "alice", "arm")
	dir := t.TempDir()
	const entraMap = `account = "ci"
resource "https://management.azure.com/" { role = "arm" }
`
	if err := os.WriteFile(filepath.Join(dir, "entra.hcl"), []byte(entraMap), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := e.CommandLineEnvironment(e.Token)
	var out strings.Builder
	run := func(command string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = dir, environment
		printed, _ := cmd.CombinedOutput() // a command that is refused is part of it
		text := string(printed)
		for _, v := range commandLineVolatile {
			text = v.what.ReplaceAllString(text, v.by)
		}
		fmt.Fprintf(&out, "$ %s\n%s", command, text)
		if code := cmd.ProcessState.ExitCode(); code != 0 {
			fmt.Fprintf(&out, "(exit code %d)\n", code)
		}
		out.WriteString("\n")
	}
	say := func(text string) { fmt.Fprintf(&out, "# %s\n", text) }

	say("What can be had, and what is wrong:")
	run("vault-entra doctor ci -role arm")
	run("vault-entra token ci -format header")
	run("vault-entra token ci -resource https://management.azure.com/ -format json")
	say("A child finds a managed identity:")
	run("cat entra.hcl")
	run(`vault-entra run -map entra.hcl -- sh -c 'curl -s -H "X-IDENTITY-HEADER: ` +
		`$IDENTITY_HEADER" "$IDENTITY_ENDPOINT?api-version=2019-08-01&` +
		`resource=https://management.azure.com"'`)
	say("What nobody maps is not given:")
	run(`vault-entra run -map entra.hcl -- sh -c 'curl -s -H "X-IDENTITY-HEADER: ` +
		`$IDENTITY_HEADER" "$IDENTITY_ENDPOINT?api-version=2019-08-01&` +
		`resource=https://vault.azure.net"'`)
	run("vault-entra run -account ci -- sh -c 'exit 7'")
	say("An account that has to sign in:")
	run("vault-entra token nobody")
	e.Seal()
	run("vault-entra doctor ci")
	e.Unseal()

	harness.HoldTranscript(t, "command-line.md", out.String())
}

// commandLineVolatile is what differs from run to run here, beside what differs everywhere.
var commandLineVolatile = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`("(?:ttl)": )\d+`), "${1}3000"},
	{regexp.MustCompile(`("expires_in":")\d+`), "${1}3599"},
	{regexp.MustCompile(`("(?:expires_on|not_before)":")\d+`), "${1}1795456800"},
	{regexp.MustCompile(`Vault \d+\.\d+\.\d+\S*`), "Vault 1.21.1"},
	{regexp.MustCompile(`("object_id": ")[0-9a-f-]{36}`), "${1}503c2116-3318-4ef4-9137-98e7501a0886"},
}
