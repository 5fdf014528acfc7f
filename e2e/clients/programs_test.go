// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// The recipes that are programs read a token and are let in with it.
func TestPrograms(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	e.Put("entra/roles/graph", object{"scopes": "User.Read"}).Want(204)
	e.SignInFor("ci", "alice", "graph")
	graph := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if r.URL.Path != "/v1.0/me" || !bearer || !e.Sim.Active(token) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		// a reader that has left sees nothing
		_, _ = w.Write([]byte(`{"displayName": "Alice Ahlgren"}`))
	}))
	t.Cleanup(graph.Close)
	recipes := harness.Path("docs", "recipes")
	for name, command := range map[string][]string{
		"shell":  {filepath.Join(recipes, "shell", "me.sh")},
		"go":     {harness.Program(t, "recipe-go")},
		"python": {"python3", "-B", filepath.Join(recipes, "python", "me.py")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil && os.Getenv("CI") == "" {
				t.Skipf("there is no %s on this machine", command[0])
			}
			run := func(token string) (string, error) {
				cmd := exec.Command(command[0], command[1:]...)
				cmd.Env = []string{
					"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "VAULT_ADDR=" + e.Addr,
					"VAULT_TOKEN=" + token, "GRAPH=" + graph.URL,
				}
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			var me struct {
				Name string `json:"displayName"`
			}
			if out, err := run(e.Token); err != nil || json.Unmarshal([]byte(out), &me) != nil ||
				me.Name != "Alice Ahlgren" {
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
	e := harness.NewEngine(t)
	e.SignIn("alice", "alice")
	vault := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(harness.Program(t, "vault"), args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "VAULT_ADDR=" + e.Addr, "VAULT_TOKEN=" + e.Token}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("vault %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	if token := vault("read", "-field=access_token", "entra/token/alice"); !e.Sim.Active(token) {
		t.Errorf("-field=access_token gives %q", token)
	}
	var secret struct {
		Data struct {
			TTL  int    `json:"ttl"`
			Type string `json:"token_type"`
		} `json:"data"`
	}
	out := vault("read", "-format=json", "entra/token/alice")
	err := json.Unmarshal([]byte(out), &secret)
	if err != nil || secret.Data.TTL < 1 || secret.Data.Type != "Bearer" {
		t.Errorf("-format=json gives %s", out)
	}
	list := vault("list", "-detailed", "entra/account")
	if !regexp.MustCompile(`(?m)^alice +\S+ +active +alice@contoso.example`).MatchString(list) {
		t.Errorf("the list is:\n%s", list)
	}
}
