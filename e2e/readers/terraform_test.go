// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// planners are the programs that the recipes for Terraform are for.
var planners = []struct{ name, program, folder, module string }{
	{"Terraform", "terraform", "e2e/readers/terraform", "github.com/hashicorp/terraform"},
}

// Terraform does with the recipes what those say, and shows why a token cannot be had.
// The Vault provider is an old one, without ephemeral resources: TestRules has those.
func TestTerraform(t *testing.T) {
	provider := moduleVersion("e2e/readers/terraform-provider-vault",
		"github.com/terraform-providers/terraform-provider-vault")(t)
	for _, p := range planners {
		t.Run(p.name, func(t *testing.T) {
			version := moduleVersion(p.folder, p.module)(t)
			e := harness.NewEngine(t, "-token-lifetime", "10s")
			ran := func(what, version string, failures map[string]*seen) {
				if !t.Failed() {
					addRow(row{Reader: p.name + ", " + what, Version: version, Mark: "run",
						Test: "TestTerraform", Failures: failures})
				}
			}
			writesConfig(t, e, p.program)
			ran("vault_generic_endpoint", version+", provider "+provider, nil)
			ran("data vault_generic_secret", version+", provider "+provider,
				saysWhy(t, e, p.program))
			keepsNoVariable(t, e, p.program)
			ran("an ephemeral variable", version, nil)
		})
	}
}

// The recipes are written as terraform fmt writes them.
func TestTerraformFormat(t *testing.T) {
	said, status := newWorkspace(t, "terraform", &harness.Client{}).run(
		harness.Program(t, "terraform"), "fmt", "-check", "-diff", "-recursive",
		harness.Path("docs", "recipes", "terraform"))
	if status != 0 {
		t.Error(said)
	}
}

// makesToken lets the Vault provider make itself a token, as it wants to.
const makesToken = `
path "auth/token/create" { capabilities = ["update"] }
`

// writesConfig applies the recipe for the config and a role, once, again, after others have
// changed what it wrote, with a mistake in it, and ends it.
func writesConfig(t *testing.T, e *harness.Engine, program string) {
	policy := documentText(t, "policies/administrator.hcl") + makesToken
	w := newWorkspace(t, program, limited(t, e, "writes", policy))
	w.env = append(w.env, "TF_VAR_client_secret="+e.Sim.ClientSecret)
	recipe := copyRecipe(t, w.dir, "terraform/main.tf",
		"00000000-0000-0000-0000-000000000000", e.Sim.TenantID,
		"11111111-1111-1111-1111-111111111111", e.Sim.ClientID,
		recipeVault, e.Addr)
	forget := func() { e.Put("entra/config", object{"client_secret": "nobody's"}).Want(204) }

	forget()
	w.plan("at first", 2)
	w.apply()
	w.plan("once it is applied", 0)
	e.SignInFor("ci", "alice", "graph")
	token := e.Get("entra/token/ci/graph").Want(200).Text("access_token")
	w.plan("once somebody has signed in", 0)

	e.Put("entra/config", object{"login_ttl": "20m"}).Want(204)
	w.plan("after a change of what it does not name", 0)
	e.Put("entra/config", object{"redirect_uris": harness.LoopbackURL}).Want(204)
	e.Put("entra/roles/graph", object{"scopes": "Mail.Read"}).Want(204)
	w.plan("after a change of what it wrote", 2)
	w.apply()
	e.Call("DELETE", "entra/roles/graph", nil).Want(204)
	w.plan("after the role was deleted", 2)
	w.apply()
	if got := e.Get("entra/config").Want(200).Number("login_ttl"); got != 20*60 {
		t.Errorf("login_ttl is %d", got)
	}
	forget()
	w.plan("after a change of the secret, which nobody can read", 0)
	w.apply("-replace=vault_generic_endpoint.config")
	e.SignInFor("ci", "alice", "graph")

	if found := w.finds(e.Sim.ClientSecret); len(found) == 0 {
		t.Error("the secret is not in the state: the recipe says that it is")
	}
	if found := w.finds(token); len(found) > 0 {
		t.Errorf("the token is in %q", found)
	}
	showsMistake(t, w, recipe)
	if said, status := w.run(w.program, "destroy", "-auto-approve"); status != 0 {
		t.Fatalf("destroy ends with %d:\n%s", status, said)
	}
	e.Get("entra/roles/graph").Want(404)
	e.Get("entra/config").Want(200)
}

// showsMistake applies the recipe with scopes of two resources in it.
func showsMistake(t *testing.T, w *workspace, recipe string) {
	t.Helper()
	right, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	wrong := strings.Replace(string(right), `["User.Read"]`,
		`["User.Read", "https://vault.azure.net/user_impersonation"]`, 1)
	if err := os.WriteFile(recipe, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	said, status := w.run(w.program, "apply", "-auto-approve")
	if status != 1 || !strings.Contains(said, "invalid_request") {
		t.Errorf("apply of a mistake ends with %d:\n%s", status, said)
	}
	w.plan("after a mistake", 2)
	if err := os.WriteFile(recipe, right, 0o600); err != nil {
		t.Fatal(err)
	}
	w.apply()
	w.plan("once it is corrected", 0)
}

// dataSource reads a token as the recipes say that nobody should.
const dataSource = `
data "vault_generic_secret" "graph" {
  path = "entra/token/ci/graph"
}

output "token" {
  value     = data.vault_generic_secret.graph.data["access_token"]
  sensitive = true
}
`

// saysWhy reads a token by a data source, through every failure, and returns what was said.
func saysWhy(t *testing.T, e *harness.Engine, program string) map[string]*seen {
	e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	e.SignInFor("ci", "alice", "graph")
	w := newWorkspace(t, program, limited(t, e, "reads", readsToken(t)+makesToken))
	if err := os.WriteFile(filepath.Join(w.dir, "main.tf"), []byte(dataSource), 0o600); err != nil {
		t.Fatal(err)
	}
	w.apply()
	token, _ := w.run(w.program, "output", "-raw", "token")
	if !e.Sim.Active(token) {
		t.Fatalf("the token is %q, which is not good", token)
	}
	if found := w.finds(token); len(found) == 0 {
		t.Error("the token is not in the state: the recipe says that a data source puts it there")
	}
	absent := map[string]string{"deleted account": `no secret found at "entra/token/ci/graph"`}
	return throughFailures(t, e, absent, func() (said string, ok bool) {
		said, status := w.run(w.program, "plan")
		if status == 0 {
			return said, true
		}
		_, line, _ := strings.Cut(message(said), "Error: ")
		return line, false
	})
}

// keepsNoVariable gives a token by an ephemeral variable, as its recipe does, directly and by a
// plan that is saved.
func keepsNoVariable(t *testing.T, e *harness.Engine, program string) {
	e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	e.SignInFor("ci", "alice", "graph")
	w := newWorkspace(t, program, limited(t, e, "gives", readsToken(t)))
	g, s := graphFor(t, e)
	copyRecipe(t, w.dir, "terraform/variable/main.tf", "https://graph.microsoft.com", g.address(s))
	script := copyRecipe(t, t.TempDir(), "terraform/variable/apply.sh", "terraform apply", program+" apply")
	w.env[0] = "PATH=" + harness.Programs(t) + ":" + os.Getenv("PATH")

	said, status := w.run("sh", script, "-auto-approve")
	first := s.lastShown()
	if status != 0 || first == "" {
		t.Fatalf("the recipe ends with %d:\n%s", status, said)
	}
	if found := w.finds(first); len(found) > 0 || strings.Contains(said, first) {
		t.Errorf("the token is in %q, or in what it says:\n%s", found, said)
	}

	e.Put("entra/refresh/ci/graph", nil).Want(200)
	second := e.Get("entra/token/ci/graph").Want(200).Text("access_token")
	w.env = append(w.env, "TF_VAR_graph_token="+second)
	said, status = w.run(w.program, "plan", "-out=saved", "-replace=terraform_data.me")
	if status != 0 || len(w.finds(second)) > 0 {
		t.Fatalf("plan ends with %d, and %q have the token:\n%s", status, w.finds(second), said)
	}
	w.apply("saved")
	if got := s.lastShown(); got != second {
		t.Errorf("Graph was shown %q, want the second token", got)
	}
	if found := w.finds(second); len(found) > 0 {
		t.Errorf("the token is in %q", found)
	}

	e.Put("entra/account/ci", object{"disabled": true}).Want(200, 204)
	said, status = w.run("sh", script, "-auto-approve", "-replace=terraform_data.me")
	if status != 2 || !strings.Contains(said, "account_disabled") || strings.Contains(said, "terraform_data") {
		t.Errorf("without a token the recipe ends with %d:\n%s", status, said)
	}
	e.Put("entra/account/ci", object{"disabled": false}).Want(200, 204)
}
