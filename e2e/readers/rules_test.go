// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"gopkg.in/yaml.v3"

	"vault-plugin-secrets-entra/e2e/harness"
)

// unrun is a reader that cannot be run here, and the rules that its code holds our answers
// to. Each rule names the file of the reader's repository that has it.
type unrun struct {
	name, version string
	rules         []rule
}

type rule struct {
	file  string
	says  string
	holds func(t *testing.T, o *observed)
}

// observed is an engine whose answers are held to rules: alice is signed in to the account ci,
// with a role graph, bob is not known.
type observed struct{ *harness.Engine }

// token is the token as the recipes read it.
func (o *observed) token() *harness.Answer { return o.Get("entra/token/ci/graph").Want(200) }

// failures are the answers of the three kinds of failure, by status.
func (o *observed) failures() map[int]*harness.Answer {
	o.T.Helper()
	found := map[int]*harness.Answer{404: o.Get("entra/token/bob/graph")}
	o.Put("entra/account/ci", object{"disabled": true}).Want(200, 204)
	found[400] = o.Get("entra/token/ci/graph")
	o.Put("entra/account/ci", object{"disabled": false}).Want(200, 204)
	o.Sim.Control("faults", object{"endpoint": "token", "status": 503}, nil)
	found[502] = o.Put("entra/refresh/ci/graph", nil)
	o.Sim.ClearFaults()
	found[400].WantError(400, "account_disabled")
	found[404].WantError(404, "no account")
	found[502].WantError(502, "entra_unavailable")
	return found
}

// The readers that cannot be run here find in our answers what their code asks for.
func TestRules(t *testing.T) {
	o := &observed{harness.NewEngine(t)}
	o.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	o.Put("entra/roles/leased", object{"scopes": "User.Read", "lease": true}).Want(204)
	o.SignInFor("ci", "alice", "graph,leased")
	for _, u := range notRun {
		passed := t.Run(u.name, func(t *testing.T) {
			for _, r := range u.rules {
				t.Run(r.says, func(t *testing.T) {
					own := *o.Client
					own.T = t
					server := *o.Server
					server.T, server.Client = t, &own
					r.holds(t, &observed{&harness.Engine{Server: &server, Sim: o.Sim}})
				})
			}
		})
		if passed {
			addRow(row{Reader: u.name, Version: u.version, Mark: "rules tested", Test: "TestRules"})
		}
	}
}

var notRun = []unrun{
	{"GitHub vault-action", "3.4.0", []rule{
		{"src/action.js", "a line of secrets is a path, a selector and after | a name", actionLine},
		{"src/secrets.js", "a selector without a dot is a field of data, and a string is taken as it is",
			text("access_token")},
		{"src/secrets.js", "where data has a member data, the wildcard looks into that", without("data")},
		{"src/secrets.js", "the body of a 404 is in the log, of other errors the status alone",
			func(t *testing.T, o *observed) {
				if body := string(o.failures()[404].Body); !strings.Contains(body, "no account") {
					t.Errorf("the body of a 404 is %s", body)
				}
			}},
		{"src/action.js", "a 502 is tried again, a 400 and a 404 are not",
			func(t *testing.T, o *observed) { o.failures() }},
		{"src/action.js", "each line of an output is masked in the log, so the job prints check by curl",
			actionCheck},
	}},
	{"GitLab runner", "19.3.0", []rule{
		{"helpers/vault/secret_engines/generic/engine.go", "engine path and path are joined and read",
			gitlabPath},
		{"helpers/vault/service/vault.go", "the field is printed as it is", text("access_token")},
		{"helpers/vault/utils.go", "the log has the status and the errors",
			errorTexts},
	}},
	{"Jenkins", "379", []rule{
		{"vault-java-driver src/main/java/io/github/jopenlibs/vault/response/LogicalResponse.java",
			"with engineVersion 1 a field of data is taken as it is", text("access_token")},
		{"src/main/java/com/datapipe/jenkins/vault/VaultAccessor.java",
			"the errors of a 400 are logged and the job goes on, a 404 and a 502 end it",
			errorTexts},
	}},
	{"Reloader", "1.4.21", []rule{
		{"internal/pkg/util/util.go", "a restart is for another hash of all fields of a Secret: it has one",
			constant("access_token")},
		{"internal/pkg/controller/controller.go", "the Secret that the annotation names is looked at",
			reloadedSecret},
	}},
	{"vault-csi-provider", "1.7.4", []rule{
		{"internal/provider/provider.go", "with secretKey the file is that string, and changes with it",
			constant("access_token")},
		{"internal/provider/provider.go", "without secretKey the file is the whole answer, another at each read",
			func(t *testing.T, o *observed) {
				first, second := o.token(), o.token()
				if string(first.Body) == string(second.Body) {
					t.Error("two answers are the same: the recipes may do without secretKey")
				}
			}},
		{"internal/provider/provider.go", "a member data that is a map would be looked into", without("data")},
	}},
	{"bank-vaults vault-env", "1.23.0", []rule{
		{"vault-sdk injector/vault/injector.go",
			"a path is read with version=-1, and each warning is logged: that this is ignored",
			func(t *testing.T, o *observed) {
				a := o.Get("entra/token/ci/graph?version=-1").Want(200)
				if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "[version]") {
					t.Errorf("warnings %q", a.Warnings)
				}
			}},
		{"vault-sdk injector/vault/injector.go", "a member data is taken for that of a KV store", without("data")},
		{"vault-sdk injector/vault/injector.go", "without a lease the program keeps what it was given", noLease},
		{"main.go", "at the end of a lease that cannot be renewed the program is signalled", leased},
	}},
	{"Spring Vault", "4.1.0", []rule{
		{"spring-vault-core SecretLeaseContainer.java", "without a lease a secret is read once", noLease},
		{"spring-vault-core SecretLeaseContainer.java",
			"a lease that cannot be renewed is read anew a minute before its end, in the mode ROTATE", leased},
	}},
	{"Vault Secrets Operator", "1.4.1", []rule{
		{"controllers/vaultdynamicsecret_controller.go",
			"last_vault_rotation is RFC 3339, rotation_period and ttl are whole numbers",
			func(t *testing.T, o *observed) {
				a := o.token()
				a.Time("last_vault_rotation")
				if a.Number("rotation_period") < 1 {
					t.Errorf("rotation_period %d", a.Number("rotation_period"))
				}
			}},
		{"controllers/vaultdynamicsecret_controller.go", "a ttl of 2 or less is waited for",
			func(t *testing.T, o *observed) {
				if ttl := o.token().Number("ttl"); ttl <= 2 {
					t.Errorf("ttl %d", ttl)
				}
			}},
		{"controllers/vaultdynamicsecret_controller.go",
			"a change of any field but ttl, rotation_period and last_vault_rotation restarts the workload",
			onlyTTLTicks},
		{"controllers/vaultdynamicsecret_controller.go", "what has a lease is no static credential", noLease},
	}},
	{"Terraform, vault_generic_endpoint", "5.11.0", []rule{
		{"vault/resource_generic_endpoint.go",
			"with ignore_absent_fields a plan is clean if each field that was written reads the same, or not at all",
			terraformClean},
	}},
	{"Terraform, ephemeral vault_generic_secret", "5.11.0", []rule{
		{"internal/vault/secrets/ephemeral/generic_secret.go", "a member data is taken for that of a KV store",
			without("data")},
		{"internal/vault/secrets/ephemeral/generic_secret.go", "strings are taken as they are",
			text("access_token")},
	}},
}

// errorTexts is a rule for a reader that shows the errors of an answer.
func errorTexts(t *testing.T, o *observed) {
	for status, a := range o.failures() {
		if len(a.Errors) != 1 || !strings.Contains(a.Errors[0], " ") {
			t.Errorf("%d has errors %q", status, a.Errors)
		}
	}
}

// text is a rule for a field of a token's read that a reader takes as text of one line.
func text(name string) func(t *testing.T, o *observed) {
	return func(t *testing.T, o *observed) {
		if value := o.token().Text(name); value == "" || strings.ContainsAny(value, "\r\n\"") {
			t.Errorf("%s is %q", name, value)
		}
	}
}

// without is a rule for a field that a reader takes for something else.
func without(name string) func(t *testing.T, o *observed) {
	return func(t *testing.T, o *observed) {
		if value, there := o.token().Data[name]; there {
			t.Errorf("there is a field %s: %v", name, value)
		}
	}
}

// constant is a rule for a field that is the same while the token is.
func constant(name string) func(t *testing.T, o *observed) {
	return func(t *testing.T, o *observed) {
		if first, second := o.token(), o.token(); first.Text(name) != second.Text(name) {
			t.Errorf("%s is another at each read", name)
		}
	}
}

func noLease(t *testing.T, o *observed) {
	var secret struct {
		LeaseID  string `json:"lease_id"`
		Duration int    `json:"lease_duration"`
	}
	o.token().Into(&secret)
	if secret.LeaseID != "" || secret.Duration != 0 {
		t.Errorf("there is a lease: %+v", secret)
	}
}

// leased is a rule for the lease of a role with lease=true: not renewable, and as long as the
// token lives.
func leased(t *testing.T, o *observed) {
	var secret struct {
		LeaseID   string `json:"lease_id"`
		Duration  int    `json:"lease_duration"`
		Renewable bool   `json:"renewable"`
	}
	a := o.Get("entra/token/ci/leased").Want(200)
	a.Into(&secret)
	left := time.Until(a.Time("expire_time")).Seconds()
	if secret.LeaseID == "" || secret.Renewable || math.Abs(left-float64(secret.Duration)) > 5 {
		t.Errorf("the token has %.0f s left, and its lease is %+v", left, secret)
	}
}

func onlyTTLTicks(t *testing.T, o *observed) {
	first := o.token()
	harness.Eventually(t, 5*time.Second, "ttl has gone down", func() error {
		later := o.token()
		if later.Number("ttl") >= first.Number("ttl") {
			return errors.New("it has not")
		}
		for name, value := range later.Data {
			if name != "ttl" && !reflect.DeepEqual(value, first.Data[name]) {
				t.Errorf("%s was %v and is %v", name, first.Data[name], value)
			}
		}
		return nil
	})
}

// recipeText is a file of docs/recipes.
func recipeText(t testing.TB, name string) []byte {
	t.Helper()
	return []byte(documentText(t, "recipes/"+name))
}

// documentText is a file of docs.
func documentText(t testing.TB, name string) string {
	t.Helper()
	content, err := os.ReadFile(harness.Path("docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// actionLine reads what each line of secrets in GitHub's recipe names.
func actionLine(t *testing.T, o *observed) {
	var workflow struct {
		Jobs map[string]struct {
			Steps []struct {
				Uses string            `yaml:"uses"`
				With map[string]string `yaml:"with"`
			} `yaml:"steps"`
		} `yaml:"jobs"`
	}
	if err := yaml.Unmarshal(recipeText(t, "ci/github.yml"), &workflow); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, job := range workflow.Jobs {
		for _, step := range job.Steps {
			if !strings.HasPrefix(step.Uses, "hashicorp/vault-action@") {
				continue
			}
			for line := range strings.SplitSeq(step.With["secrets"], ";") {
				path, name, _ := strings.Cut(line, "|")
				words := strings.Fields(path)
				if len(words) == 0 {
					continue
				}
				if len(words) != 2 || strings.TrimSpace(name) == "" {
					t.Fatalf("a line of secrets is %q", line)
				}
				o.Get(words[0]).Want(200).Text(words[1])
				read++
			}
		}
	}
	if read == 0 {
		t.Error("the recipe reads nothing")
	}
}

// checked is the path that GitHub's recipe reads to print it.
var checked = regexp.MustCompile(`/v1/(entra/check/[\w/]+)`)

func actionCheck(t *testing.T, o *observed) {
	found := checked.FindStringSubmatch(string(recipeText(t, "ci/github.yml")))
	if found == nil {
		t.Fatal("the recipe prints no check")
	}
	a := o.Get(found[1]).Want(200)
	for _, name := range []string{"word", "message", "command"} {
		a.Text(name)
	}
	if a.Data["ready"] != true {
		t.Errorf("check says %s", a.Body)
	}
}

// gitlabPath reads what GitLab's recipe names.
func gitlabPath(t *testing.T, o *observed) {
	var pipeline map[string]struct {
		Secrets map[string]struct {
			Vault struct {
				Engine struct {
					Name string `yaml:"name"`
					Path string `yaml:"path"`
				} `yaml:"engine"`
				Path  string `yaml:"path"`
				Field string `yaml:"field"`
			} `yaml:"vault"`
		} `yaml:"secrets"`
	}
	if err := yaml.Unmarshal(recipeText(t, "ci/gitlab.yml"), &pipeline); err != nil {
		t.Fatal(err)
	}
	read := 0
	for _, job := range pipeline {
		for _, s := range job.Secrets {
			if s.Vault.Engine.Name != "generic" {
				t.Errorf("the engine is %q", s.Vault.Engine.Name)
			}
			o.Get(s.Vault.Engine.Path + "/" + s.Vault.Path).Want(200).Text(s.Vault.Field)
			read++
		}
	}
	if read == 0 {
		t.Error("the recipe reads nothing")
	}
}

// reloadedSecret holds that Reloader's recipe names the Secret of the operator's recipe, which has
// access_token alone.
func reloadedSecret(t *testing.T, _ *observed) {
	var workload struct {
		Metadata struct {
			Annotations map[string]string `yaml:"annotations"`
		} `yaml:"metadata"`
	}
	var secret struct {
		Kind string `yaml:"kind"`
		Spec struct {
			Target struct {
				Name     string `yaml:"name"`
				Template struct {
					Data map[string]string `yaml:"data"`
				} `yaml:"template"`
			} `yaml:"target"`
		} `yaml:"spec"`
	}
	if err := yaml.Unmarshal(recipeText(t, "kubernetes/reloader.yaml"), &workload); err != nil {
		t.Fatal(err)
	}
	documents := yaml.NewDecoder(bytes.NewReader(recipeText(t, "kubernetes/external-secrets.yaml")))
	for secret.Kind != "ExternalSecret" {
		if err := documents.Decode(&secret); err != nil {
			t.Fatal(err)
		}
	}
	const annotation = "secret.reloader.stakater.com/reload"
	target := secret.Spec.Target
	if name := workload.Metadata.Annotations[annotation]; name == "" || name != target.Name {
		t.Errorf("the annotation names %q, the Secret is %q", name, target.Name)
	}
	if _, there := target.Template.Data["access_token"]; !there || len(target.Template.Data) != 1 {
		t.Errorf("the Secret has %v", target.Template.Data)
	}
}

var quoted = regexp.MustCompile(`var\.\w+`)

// terraformClean writes what Terraform's recipe writes, and compares what is read with it.
func terraformClean(t *testing.T, o *observed) {
	source := recipeText(t, "terraform/main.tf")
	file, problems := hclparse.NewParser().ParseHCL(source, "main.tf")
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	written := 0
	for _, block := range file.Body.(*hclsyntax.Body).Blocks {
		if block.Type != "resource" || block.Labels[0] != "vault_generic_endpoint" {
			continue
		}
		call, is := block.Body.Attributes["data_json"].Expr.(*hclsyntax.FunctionCallExpr)
		if !is || call.Name != "jsonencode" || len(call.Args) != 1 {
			t.Fatalf("%s: data_json is no jsonencode", block.Labels[1])
		}
		wrote := map[string]any{}
		for _, item := range call.Args[0].(*hclsyntax.ObjectConsExpr).Items {
			span := item.ValueExpr.Range()
			value := quoted.ReplaceAllString(string(source[span.Start.Byte:span.End.Byte]), `"a secret"`)
			key := item.KeyExpr.Range()
			var decoded any
			if err := json.Unmarshal([]byte(value), &decoded); err != nil {
				t.Fatalf("%s: %v", value, err)
			}
			wrote[string(source[key.Start.Byte:key.End.Byte])] = decoded
		}
		path, problems := block.Body.Attributes["path"].Expr.Value(nil)
		if problems.HasErrors() {
			t.Fatal(problems)
		}
		// The recipe's tenant is nobody's, so its authority is not looked for.
		body := map[string]any{}
		for name, value := range wrote {
			body[name] = value
		}
		if strings.HasSuffix(path.AsString(), "/config") {
			body["verify"] = false
		}
		other := strings.Replace(path.AsString(), "entra/", "terraform/", 1)
		mountTwin(o, "terraform")
		o.Put(other, body).Want(200, 204)
		for name, value := range o.Get(other).Want(200).Data {
			if was, there := wrote[name]; there && !reflect.DeepEqual(was, value) {
				t.Errorf("%s: %s was written as %v and reads as %v", other, name, was, value)
			}
		}
		written++
	}
	if written < 2 {
		t.Errorf("the recipe writes %d endpoints", written)
	}
}

// mountTwin mounts the engine a second time, if it is not there yet.
func mountTwin(o *observed, path string) {
	a := o.Get("sys/mounts/" + path)
	if a.Status != 200 {
		o.Put("sys/mounts/"+path, object{
			"type":   harness.PluginName,
			"config": object{"plugin_version": harness.PluginVersion},
		}).Want(204)
	}
}
