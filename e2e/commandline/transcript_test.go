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
	git := newGitServer(t)
	git.active = e.Sim.Active
	entraMap := fmt.Sprintf(`account = "ci"
resource "https://management.azure.com/" { role = "arm" }
git "localhost:%s" { role = "arm" }
`, git.port)
	for name, text := range map[string]string{"entra.hcl": entraMap, "app.mjs": nodeApp} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	modules := harness.NPMProgram(t, harness.Path("e2e", "commandline", "azure-node"))
	err := os.Symlink(filepath.Join(modules, "node_modules"), filepath.Join(dir, "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	environment := append(withLinks(t, e.CommandLineEnvironment(e.Token)),
		"GIT_CONFIG_GLOBAL="+filepath.Join(dir, "gitconfig"), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_SSL_CAINFO="+git.caFile)
	var out strings.Builder
	run := func(command string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", command)
		cmd.Dir, cmd.Env = dir, environment
		printed, _ := cmd.CombinedOutput() // a command that is refused is part of it
		text := fmt.Sprintf("$ %s\n%s", command, printed)
		for _, v := range commandLineVolatile {
			text = v.what.ReplaceAllString(text, v.by)
		}
		out.WriteString(text)
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
	run("cat app.mjs")
	run("vault-entra run -map entra.hcl -- node app.mjs")
	say("Git, whose helper is vault-entra linked as git-credential-vault-entra:")
	run("git config --global credential.helper vault-entra")
	run("VAULT_ENTRA_MAP=$PWD/entra.hcl git clone https://localhost:" + git.port + "/tools.git")
	say("Kubectl, whose kubeconfig names this command:")
	run("vault-entra kubectl-credential -account ci -role arm")
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

// nodeApp is a program for Azure that knows nothing of Vault.
const nodeApp = `import { DefaultAzureCredential } from "@azure/identity";
const { token } = await new DefaultAzureCredential().getToken("https://management.azure.com/.default");
const claims = JSON.parse(Buffer.from(token.split(".")[1], "base64url"));
console.log(claims.upn, "for", claims.aud);
`

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
