// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

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
