// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// pause lies between two reads of a program that is run for each.
const pause = 3 * time.Second

// askers are the readers that are run for every read.
func askers() []*reader {
	return []*reader{
		{name: "curl", version: says("curl", "--version"), needs: []string{"curl"},
			start: asked(pause, false, script("sh", "shell/me.sh"))},
		{name: "vault read", version: vaultVersion, says: absent("No value found at"),
			start: asked(pause, true, func(s *seat) *exec.Cmd {
				cmd := exec.Command(harness.Program(s.t, "vault"), "read", "-field=access_token",
					s.path())
				cmd.Env = s.environment()
				return cmd
			})},
		{name: "Go api", version: moduleVersion(".", "github.com/hashicorp/vault/api"), account: "ci", says: absent("nothing at"),
			start: asked(pause, false, func(s *seat) *exec.Cmd {
				return s.shows(exec.Command(harness.Program(s.t, "recipe-go")))
			})},
		{name: "Python, standard library", version: says("python3", "--version"),
			needs: []string{"python3"},
			start: asked(pause, false, script("python3", "python/me.py"))},
		{name: "hvac", version: hvacVersion, needs: []string{debianPython},
			start: asked(pause, false, script(debianPython, "python/me_hvac.py"))},
		{name: "Ansible", version: ansibleVersion, needs: []string{debianPython, "ansible"},
			says:  absent("doesn't seem to exist"),
			start: asked(2*pause, false, playbook)},
		{name: "node-vault", version: nodeVaultVersion, needs: []string{"node", "npm"},
			start: asked(pause, false, nodeVault)},
	}
}

// debianPython is the Python that Debian's packages are for, hvac among them.
const debianPython = "/usr/bin/python3"

// hvacVersion is that of Debian's hvac. Without it the test is skipped, in CI it fails.
func hvacVersion(t testing.TB) string {
	t.Helper()
	out, err := exec.Command(debianPython, "-c",
		"import importlib.metadata as m; print(m.version('hvac'))").Output()
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("hvac is needed in CI: %v", err)
	case err != nil:
		t.Skipf("there is no hvac for %s on this machine", debianPython)
	}
	return strings.TrimSpace(string(out))
}

// ansibleVersion is Ansible's own; its lookup needs hvac.
func ansibleVersion(t testing.TB) string {
	t.Helper()
	hvacVersion(t)
	return says("ansible", "--version")(t)
}

// playbook runs Ansible's recipe.
func playbook(s *seat) *exec.Cmd {
	cmd := s.shows(exec.Command("ansible-playbook", "-i", "localhost,",
		s.recipe("ansible/playbook.yml")))
	cmd.Env = append(cmd.Env, "LC_ALL=C.UTF-8",
		"ANSIBLE_LOCAL_TEMP="+filepath.Join(s.dir, "ansible"),
		"ANSIBLE_REMOTE_TEMP="+filepath.Join(s.dir, "ansible"))
	return cmd
}

const nodeVaultFolder = "node-vault"

func nodeVault(s *seat) *exec.Cmd {
	modules := filepath.Join(harness.NPMProgram(s.t, nodeVaultFolder), "node_modules")
	cmd := s.shows(exec.Command("node", s.recipe("node/me.js")))
	cmd.Env = append(cmd.Env, "NODE_PATH="+modules)
	return cmd
}

func nodeVaultVersion(t testing.TB) string {
	t.Helper()
	var manifest struct {
		Dependencies map[string]string `json:"dependencies"`
	}
	content, err := os.ReadFile(filepath.Join(nodeVaultFolder, "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		t.Fatal(err)
	}
	return manifest.Dependencies["node-vault"]
}

// script runs a recipe that shows its token to Graph.
func script(program, recipe string) func(s *seat) *exec.Cmd {
	return func(s *seat) *exec.Cmd { return s.shows(exec.Command(program, s.recipe(recipe))) }
}

// shows gives a program that shows its token to Graph what it has to know.
func (s *seat) shows(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = append(s.environment(), "GRAPH="+s.graph.address(s))
	return cmd
}
