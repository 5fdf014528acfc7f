// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"vault-plugin-secrets-entra/e2e/harness"
)

// What Azure DevOps and Jenkins would run for their recipes does what it should: their own
// programs are not to be had here, so a shell runs the scripts as those would.
func TestScripts(t *testing.T) {
	for _, system := range []struct {
		name, version string
		run           func(t *testing.T, e *harness.Engine) map[string]*seen
	}{
		{"Azure DevOps", "", azurePipeline},
		{"Jenkins", "", jenkinsScript},
	} {
		t.Run(system.name, func(t *testing.T) {
			harness.Need(t, "bash", "curl", "jq")
			e := harness.NewEngine(t, "-token-lifetime", "10s")
			e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
			e.SignInFor("ci", "alice", "graph")
			failed := system.run(t, e)
			if !t.Failed() {
				addRow(row{Reader: system.name, Mark: "its script run", Test: "TestScripts",
					Failures: failed})
			}
		})
	}
}

// scriptTime bounds one script.
const scriptTime = time.Minute

// shell runs a script with nothing but these variables, and returns what it printed, standard
// output and error apart, and whether it succeeded.
func shell(t *testing.T, variables map[string]string, name string, args ...string) (out, said string, ok bool) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	for name, value := range variables {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &stdout, &stderr, time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(scriptTime, func() { _ = cmd.Process.Kill() })
	defer limit.Stop()
	err := cmd.Wait()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		t.Fatal(err)
	}
	return stdout.String(), stderr.String(), err == nil
}

// graphFor is a Graph, and the seat that tells which token it was shown last.
func graphFor(t *testing.T, e *harness.Engine) (*graph, *seat) {
	s := &seat{
		reader: &reader{account: "ci"}, t: t, e: e, stale: map[string]bool{},
		file: filepath.Join(t.TempDir(), "token"),
	}
	return newGraph(&stage{t: t}), s
}

// lastShown is the token that Graph was shown last.
func (s *seat) lastShown() string {
	s.look(false)
	return s.latest().text
}

// pipeline is what of Azure DevOps' recipe its agent runs.
type pipeline struct {
	Variables map[string]string `yaml:"variables"`
	Steps     []struct {
		Bash string            `yaml:"bash"`
		Env  map[string]string `yaml:"env"`
	} `yaml:"steps"`
}

var (
	// macro is a variable of the pipeline where the agent puts its value.
	macro = regexp.MustCompile(`\$\((\w+)\)`)

	// setVariable and logIssue are the agent's commands in what a script prints.
	setVariable = regexp.MustCompile(`(?m)^##vso\[task\.setvariable variable=(\w+);issecret=true\](.*)$`)
	logIssue    = regexp.MustCompile(`(?m)^##vso\[task\.logissue type=error\](.*)$`)
)

// azurePipeline runs the recipe's steps as the agent does: each by bash without its start files,
// with the pipeline's variables, of which a step's env names the secret ones; a command in what
// is printed sets one for the steps after it. A step that fails ends the job.
func azurePipeline(t *testing.T, e *harness.Engine) map[string]*seen {
	var p pipeline
	graph, s := graphFor(t, e)
	dir := t.TempDir()
	recipe := copyRecipe(t, dir, "ci/azure-pipelines.yml",
		recipeVault, e.Addr, "https://graph.microsoft.com", graph.address(s))
	content, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(content, &p); err != nil || len(p.Steps) != 2 {
		t.Fatalf("%d steps, %v", len(p.Steps), err)
	}
	ids := appRole(t, e)
	job := func() (said string, ok bool) {
		variables := maps.Clone(ids)
		for _, step := range p.Steps {
			env := maps.Clone(p.Variables)
			for name, value := range step.Env {
				env[name] = macro.ReplaceAllStringFunc(value, func(m string) string {
					return variables[macro.FindStringSubmatch(m)[1]]
				})
			}
			script := filepath.Join(dir, "step.sh")
			if err := os.WriteFile(script, []byte(step.Bash), 0o600); err != nil {
				t.Fatal(err)
			}
			out, complaint, ok := shell(t, env, "bash", "--noprofile", "--norc", script)
			for _, set := range setVariable.FindAllStringSubmatch(out, -1) {
				variables[set[1]] = set[2]
			}
			if !ok {
				issue := logIssue.FindStringSubmatch(out)
				if issue == nil {
					issue = []string{"", out + complaint}
				}
				return issue[1], false
			}
			said += setVariable.ReplaceAllString(out, "") + complaint
		}
		if token := variables["GRAPH_TOKEN"]; token != s.lastShown() || strings.Contains(said, token) {
			t.Errorf("the token %q is not that which Graph was shown, or stands in the log:\n%s",
				token, said)
		}
		return said, true
	}
	if said, ok := job(); !ok || !strings.Contains(said, "Alice") {
		t.Fatalf("the job fails:\n%s", said)
	}
	failed := throughFailures(t, e, nil, job)
	ids["secretId"] = "nobody's"
	if said, ok := job(); ok || !strings.Contains(said, "invalid role or secret ID") {
		t.Errorf("with a wrong secret id the job says %q", said)
	}
	return failed
}

// appRole enables AppRole for who reads the recipes' token, and returns its ids as variables of
// Azure's recipe.
func appRole(t *testing.T, e *harness.Engine) map[string]string {
	t.Helper()
	limited(t, e, "pipeline", readsToken(t))
	e.Put("sys/auth/approle", object{"type": "approle"}).Want(204)
	e.Put("auth/approle/role/ci", object{"token_policies": "pipeline"}).Want(204)
	return map[string]string{
		"roleId":   e.Get("auth/approle/role/ci/role-id").Want(200).Text("role_id"),
		"secretId": e.Put("auth/approle/role/ci/secret-id", nil).Want(200).Text("secret_id"),
	}
}

var (
	jenkinsShell = regexp.MustCompile(`(?s)sh '''(.*?)'''`)
	jenkinsField = regexp.MustCompile(`path: '([^']+)'.*envVar: '(\w+)', vaultKey: '(\w+)'`)
)

// jenkinsScript runs the recipe's script as Jenkins does, with the variable that its Vault plugin
// makes: TestRules has the plugin's side. Without a token the plugin sets none.
func jenkinsScript(t *testing.T, e *harness.Engine) map[string]*seen {
	graph, s := graphFor(t, e)
	recipe := strings.ReplaceAll(string(recipeText(t, "ci/Jenkinsfile")),
		"https://graph.microsoft.com", graph.address(s))
	found, field := jenkinsShell.FindStringSubmatch(recipe), jenkinsField.FindStringSubmatch(recipe)
	if found == nil || field == nil {
		t.Fatalf("the recipe has no script, or reads nothing:\n%s", recipe)
	}
	script := filepath.Join(t.TempDir(), "script.sh")
	if err := os.WriteFile(script, []byte(found[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	token := e.Get(field[1]).Want(200).Text(field[3])
	out, said, ok := shell(t, map[string]string{field[2]: token}, "sh", "-xe", script)
	if !ok || !strings.Contains(out, "Alice") || s.lastShown() != token {
		t.Errorf("the script fails:\n%s%s", out, said)
	}
	if strings.Contains(out+said, token) {
		t.Errorf("the token stands in the log:\n%s%s", out, said)
	}
	out, said, ok = shell(t, nil, "sh", "-xe", script)
	if ok || !strings.Contains(said, "Vault said above why") {
		t.Errorf("without a token it says:\n%s%s", out, said)
	}
	return nil
}
