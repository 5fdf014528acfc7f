// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every command that a document shows for a terminal is run, in the document's
// order, in a folder and at an engine of its own. Those of az need the real Entra
// ID; demo.sh and test.sh are run elsewhere.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	for name, least := range map[string]int{"README.md": 9, "docs/setup.md": 4, "docs/usage.md": 15, "docs/operations.md": 4, "docs/security.md": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEngine(t)
			e.signIn("alice", "alice")
			r := &documentRun{engine: e, dir: t.TempDir()}
			for file, content := range map[string]string{"token.txt": e.sim.refreshToken("alice"), "ca.pem": e.sim.ca} {
				if err := os.WriteFile(filepath.Join(r.dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			commands := commandsOf(t, filepath.Join("..", name))
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
	for _, m := range regexp.MustCompile(`(?m)^    (?:\$ )?((?:vault|openssl|\./scripts/build\.sh) .*)$`).FindAllStringSubmatch(text, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// documentRun is one document's commands, being run.
type documentRun struct {
	*engine
	dir string
}

func (r *documentRun) shell(command string) (string, error) {
	r.t.Helper()
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+r.addr, "VAULT_TOKEN="+r.token, "VAULT_CONFIG_PATH="+filepath.Join(r.dir, "none"),
		"PATH="+programs(r.t)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var loginOf = regexp.MustCompile(`entra/login/(\w+)`)

// run runs a command with what stands for something replaced, and plays the person
// where one is needed.
func (r *documentRun) run(command string) {
	r.t.Helper()
	if strings.Contains(command, "callback?code=…") {
		redirected := loopbackLogin(r.engine, "alice", "alice")
		command = regexp.MustCompile(`url='[^']*'`).ReplaceAllLiteralString(command, "url='"+redirected+"'")
	}
	if strings.HasPrefix(command, "vault secrets enable") {
		r.call("DELETE", "sys/mounts/entra", nil).want(204) // there is one already
	}
	printed, err := r.shell(r.filled(command))
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", command, err, printed)
	}
	if m := loginOf.FindStringSubmatch(command); m != nil && strings.HasPrefix(command, "vault write") {
		authURL := regexp.MustCompile(`auth_url +(\S+)`).FindStringSubmatch(printed)
		if authURL == nil {
			r.t.Fatalf("%s: no auth_url in %s", command, printed)
		}
		var redirect struct {
			Params map[string]string `json:"params"`
		}
		r.sim.control("signin", object{"auth_url": authURL[1], "user": m[1], "action": "signin"}, &redirect)
		r.put("entra/callback/"+m[1], object{"code": redirect.Params["code"], "state": redirect.Params["state"]}).want(200)
	}
}

func (r *documentRun) filled(command string) string {
	return strings.NewReplacer(
		"./scripts/build.sh /etc/vault.d/plugins", mustAbs(r.t, "../scripts/build.sh")+" "+r.dir,
		"<SHA-256>", r.sha256(), "v0.1.0", pluginVersion, "v0.2.0", pluginVersion,
		"tenant_id=… client_id=… client_secret=…", r.config(),
		"tenant_id=<tenant> client_id=<appId> client_secret=<password>", r.config(),
		"client_secret=<new>", "client_secret="+r.sim.ClientSecret,
		"claims=<base64 from the header>", "claims=eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZSwidmFsdWUiOiIxNzAwMDAwMDAwIn19fQ==",
	).Replace(command)
}

// sha256 is the checksum of the plugin that the document's reader has built.
func (r *documentRun) sha256() string {
	r.t.Helper()
	sum, err := checksum(program(r.t, filepath.Join("plugins", pluginName)))
	if err != nil {
		r.t.Fatal(err)
	}
	return sum
}

// config is the part of a config that a document leaves to its reader, and the
// simulator in the place of Entra.
func (r *documentRun) config() string {
	return "tenant_id=" + r.sim.TenantID + " client_id=" + r.sim.ClientID + " client_secret=" + r.sim.ClientSecret +
		" authority_url=" + r.sim.Authority + " ca_pem=@" + filepath.Join(r.dir, "ca.pem")
}

// The check of docs/operations.md lists who breaks, and nobody else.
func TestWhoBreaks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("jq"); err != nil && os.Getenv("CI") == "" {
		t.Skip("there is no jq on this machine")
	}
	e := newEngine(t)
	e.signIn("alice", "alice")
	e.signIn("carol", "carol")
	e.put("entra/account/carol", object{"disabled": true}).want(204)
	content, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	script := regexp.MustCompile("(?s)```sh\n(.*?)```").FindStringSubmatch(string(content))
	if script == nil {
		t.Fatal("docs/operations.md has no script")
	}
	r := &documentRun{engine: e, dir: t.TempDir()}
	printed, err := r.shell(script[1])
	if err != nil || !strings.HasPrefix(printed, "carol\tdisabled\tcarol@contoso.example\tidle until 2") || strings.Count(printed, "\n") != 1 {
		t.Errorf("%v: %q", err, printed)
	}
}
