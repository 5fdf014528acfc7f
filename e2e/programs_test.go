// SPDX-License-Identifier: MPL-2.0

package e2e

import (
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2/hclparse"
	"gopkg.in/yaml.v3"
)

// The recipes that are programs read a token and are let in with it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.put("entra/roles/graph", object{"scopes": "User.Read"}).want(204)
	e.signInFor("ci", "alice", "graph")
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if r.URL.Path != "/v1.0/me" || !bearer || !e.sim.active(token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"displayName": "Alice Ahlgren"}`)) // a reader that has left sees nothing
	}))
	t.Cleanup(graph.Close)
	recipes := mustAbs(t, filepath.Join("..", "docs", "recipes"))
	for name, command := range map[string][]string{
		"shell":  {filepath.Join(recipes, "shell", "me.sh")},
		"go":     {program(t, "recipe-go")},
		"python": {"python3", "-B", filepath.Join(recipes, "python", "me.py")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil && os.Getenv("CI") == "" {
				t.Skipf("there is no %s on this machine", command[0])
			}
			run := func(token string) (string, error) {
				cmd := exec.Command(command[0], command[1:]...)
				cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "VAULT_ADDR=" + e.addr, "VAULT_TOKEN=" + token, "GRAPH=" + graph.URL}
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			var me struct {
				Name string `json:"displayName"`
			}
			if out, err := run(e.token); err != nil || json.Unmarshal([]byte(out), &me) != nil || me.Name != "Alice Ahlgren" {
				t.Errorf("%v: %s", err, out)
			}
			if out, err := run("no-token"); err == nil {
				t.Errorf("without a token of Vault's it says: %s", out)
			}
		})
	}
}

// The vault command shows a token, an account and the list of accounts well.
func TestTerminal(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	e.signIn("alice", "alice")
	vault := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program(t, "vault"), args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "VAULT_ADDR=" + e.addr, "VAULT_TOKEN=" + e.token}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("vault %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if token := vault("read", "-field=access_token", "entra/token/alice"); !e.sim.active(token) {
		t.Errorf("-field=access_token gives %q", token)
	}
	var secret struct {
		Data struct {
			TTL  int    `json:"ttl"`
			Type string `json:"token_type"`
		} `json:"data"`
	}
	if out := vault("read", "-format=json", "entra/token/alice"); json.Unmarshal([]byte(out), &secret) != nil || secret.Data.TTL < 1 || secret.Data.Type != "Bearer" {
		t.Errorf("-format=json gives %s", out)
	}
	list := vault("list", "-detailed", "entra/account")
	if !regexp.MustCompile(`(?m)^alice +\S+ +active +alice@contoso.example`).MatchString(list) {
		t.Errorf("the list is:\n%s", list)
	}
}

// The recipes that cannot be run here are at least what they say they are.
func TestRecipesParse(t *testing.T) {
	t.Parallel()
	parsed := 0
	err := fs.WalkDir(os.DirFS(filepath.Join("..", "docs", "recipes")), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(filepath.Join("..", "docs", "recipes", name))
		if err != nil {
			return err
		}
		switch filepath.Ext(name) {
		case ".yml", ".yaml":
			parsed++
			for decoder := yaml.NewDecoder(strings.NewReader(string(content))); ; {
				var document map[string]any
				if err := decoder.Decode(&document); err != nil {
					if err.Error() != "EOF" {
						t.Errorf("%s: %v", name, err)
					}
					return nil
				}
				if len(document) == 0 {
					t.Errorf("%s has an empty document", name)
				}
			}
		case ".hcl", ".tf":
			parsed++
			if _, problems := hclparse.NewParser().ParseHCL(content, name); problems.HasErrors() {
				t.Errorf("%s: %v", name, problems)
			}
		}
		return nil
	})
	if err != nil || parsed < 9 {
		t.Errorf("%d files, %v", parsed, err)
	}
}
