// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Every command that a document shows for a terminal is run, in the document's
// order, in a folder and at an engine of its own. Those of az need the real Entra
// ID; demo.sh and test.sh are run elsewhere.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]int{
		"README.md": 9, "docs/setup.md": 4, "docs/usage.md": 15, "docs/operations.md": 4,
		"docs/security.md": 1,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := harness.NewEngine(t)
			e.SignIn("alice", "alice")
			r := &documentRun{Engine: e, dir: t.TempDir()}
			for file, content := range map[string]string{
				"token.txt": e.Sim.RefreshToken("alice"), "ca.pem": e.Sim.CA,
			} {
				err := os.WriteFile(filepath.Join(r.dir, file), []byte(content), 0o600)
				if err != nil {
					t.Fatal(err)
				}
			}
			commands := commandsOf(t, harness.Path(name))
			if len(commands) < least {
				t.Errorf("only %d commands: %q", len(commands), commands)
			}
			for _, command := range commands {
				r.run(command)
			}
		})
	}
}

// commandsOf are the commands in a document's indented blocks.
func commandsOf(t testing.TB, path string) (commands []string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(content), "\\\n", " ")
	line := regexp.MustCompile(`(?m)^    (?:\$ )?((?:vault|openssl|\./scripts/build\.sh) .*)$`)
	for _, m := range line.FindAllStringSubmatch(text, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// documentRun is one document's commands, being run.
type documentRun struct {
	*harness.Engine
	dir string
}

func (r *documentRun) shell(command string) (string, error) {
	r.T.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+r.Addr, "VAULT_TOKEN="+r.Token,
		"VAULT_CONFIG_PATH="+filepath.Join(r.dir, "none"),
		"PATH="+harness.Programs(r.T)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var loginOf = regexp.MustCompile(`entra/login/(\w+)`)

// run runs a command with what stands for something replaced, and plays the person
// where one is needed.
func (r *documentRun) run(command string) {
	r.T.Helper()
	if strings.Contains(command, "callback?code=…") {
		redirected := r.Engine.LoopbackLogin("alice", "alice")
		command = regexp.MustCompile(`url='[^']*'`).ReplaceAllLiteralString(command,
			"url='"+redirected+"'")
	}
	if strings.HasPrefix(command, "vault secrets enable") {
		r.Call("DELETE", "sys/mounts/entra", nil).Want(204) // there is one already
	}
	printed, err := r.shell(r.filled(command))
	if err != nil {
		r.T.Fatalf("%s: %v\n%s", command, err, printed)
	}
	if m := loginOf.FindStringSubmatch(command); m != nil &&
		strings.HasPrefix(command, "vault write") {
		authURL := regexp.MustCompile(`auth_url +(\S+)`).FindStringSubmatch(printed)
		if authURL == nil {
			r.T.Fatalf("%s: no auth_url in %s", command, printed)
		}
		var redirect struct {
			Params map[string]string `json:"params"`
		}
		r.Sim.Control("signin", object{
			"auth_url": authURL[1], "user": m[1], "action": "signin",
		}, &redirect)
		r.Put("entra/callback/"+m[1], object{
			"code": redirect.Params["code"], "state": redirect.Params["state"],
		}).Want(200)
	}
}

func (r *documentRun) filled(command string) string {
	const challenge = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
	return strings.NewReplacer(
		"./scripts/build.sh /etc/vault.d/plugins", harness.Path("scripts", "build.sh")+" "+r.dir,
		"<SHA-256>", r.sha256(), "v0.1.0", harness.PluginVersion, "v0.2.0", harness.PluginVersion,
		"tenant_id=… client_id=… client_secret=…", r.config(),
		"tenant_id=<tenant> client_id=<appId> client_secret=<password>", r.config(),
		"client_secret=<new>", "client_secret="+r.Sim.ClientSecret,
		"claims=<base64 from the header>",
		"claims="+base64.StdEncoding.EncodeToString([]byte(challenge)),
	).Replace(command)
}

// sha256 is the checksum of the plugin that the document's reader has built.
func (r *documentRun) sha256() string {
	r.T.Helper()
	sum, err := harness.Checksum(harness.Program(r.T, filepath.Join("plugins", harness.PluginName)))
	if err != nil {
		r.T.Fatal(err)
	}
	return sum
}

// config is the part of a config that a document leaves to its reader, and the
// simulator in the place of Entra.
func (r *documentRun) config() string {
	return "tenant_id=" + r.Sim.TenantID + " client_id=" + r.Sim.ClientID +
		" client_secret=" + r.Sim.ClientSecret +
		" scopes=User.Read authority_url=" + r.Sim.Authority + " ca_pem=@" + filepath.Join(r.dir, "ca.pem")
}

// The check of docs/operations.md lists who breaks, and nobody else.
func TestWhoBreaks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no jq on this machine")
	}
	e := harness.NewEngine(t)
	e.SignIn("alice", "alice")
	e.SignIn("carol", "carol")
	e.Put("entra/account/carol", object{"disabled": true}).Want(204)
	content, err := os.ReadFile(harness.Path("docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(string(content))
	if script == nil {
		t.Fatal("docs/operations.md has no script")
	}
	r := &documentRun{Engine: e, dir: t.TempDir()}
	printed, err := r.shell(script[1])
	const begins = "carol\tdisabled\tcarol@contoso.example\tidle until 2"
	if err != nil || !strings.HasPrefix(printed, begins) || strings.Count(printed, "\n") != 1 {
		t.Errorf("%v: %q", err, printed)
	}
}
