// SPDX-License-Identifier: MPL-2.0

package vaultclient_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

var ci = vaultclient.Target{Mount: "entra", Account: "ci"}

func newClient(t *testing.T) *vaultclient.Client {
	t.Helper()
	client, err := vaultclient.New()
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// refusal is the error of a read of token/ci.
func refusal(t *testing.T, client *vaultclient.Client) *vaultclient.Error {
	t.Helper()
	token, err := client.Token(t.Context(), ci, 0)
	var refused *vaultclient.Error
	if !errors.As(err, &refused) {
		t.Fatalf("token %v, error %v", token, err)
	}
	return refused
}

// TestToken checks that every field of an answer is read.
func TestToken(t *testing.T) {
	v := vaulttest.New(t)
	v.AccessToken("entra/token/ci/arm", "the-access-token", "a b", 50*time.Minute, time.Hour)
	target := vaultclient.Target{Mount: "/entra/", Account: "ci", Role: "arm"}
	token, err := newClient(t).Token(t.Context(), target, 0)
	if err != nil {
		t.Fatal(err)
	}
	left := time.Until(token.Expiry)
	if token.AccessToken != "the-access-token" || token.TokenType != "Bearer" ||
		token.Scope != "a b" || token.TTL != 50*time.Minute || token.TenantID != "the-tenant" ||
		token.ClientID != "the-client" || token.Username != "ci@contoso.example" ||
		token.ObjectID != "the-object" || token.Target != target ||
		left < 59*time.Minute || left > time.Hour || time.Since(token.Obtained) > time.Minute {
		t.Errorf("%+v", token)
	}
}

// TestRefusals checks the class and the words of each way in which Vault can refuse.
func TestRefusals(t *testing.T) {
	v := vaulttest.New(t)
	client := newClient(t)
	for name, test := range map[string]struct {
		answer  vaulttest.Answer
		class   vaultclient.Class
		text    string
		command string
		passing bool
	}{
		"login": {
			vaulttest.Answer{Status: 400, Errors: []string{`login_required: account "ci" must ` +
				`sign in again (AADSTS50173: revoked). Run: vault write entra/login/ci roles=arm,mail`}},
			vaultclient.LoginRequired, `login_required: account "ci" must sign in again`,
			"vault-entra login -roles=arm,mail ci", false,
		},
		"login at another mount": {
			vaulttest.Answer{Status: 400, Errors: []string{
				"login_required: x. Run: vault write -f a/b/login/ci"}},
			vaultclient.LoginRequired, "login_required: x", "vault-entra login -mount=a/b ci", false,
		},
		"login with more than this program can do": {
			vaulttest.Answer{Status: 400, Errors: []string{
				"login_required: x. Run: vault write entra/login/ci claims=y"}},
			vaultclient.LoginRequired, "login_required: x", "vault write entra/login/ci claims=y",
			false,
		},
		"no account": {
			vaulttest.Answer{Status: 404, Errors: []string{
				`no account "ci" in this mount. Run: vault write -f entra/login/ci`}},
			vaultclient.UnknownAccount, `no account "ci" in this mount`, "vault-entra login ci", false,
		},
		"disabled": {
			vaulttest.Answer{Status: 400, Errors: []string{"account_disabled: off. Run: x"}},
			vaultclient.Disabled, "account_disabled: off", "x", false,
		},
		"Entra": {
			vaulttest.Answer{Status: 502, Errors: []string{"entra_unavailable: slow"}},
			vaultclient.EntraUnavailable, "entra_unavailable: slow", "", true,
		},
		"the client": {
			vaulttest.Answer{Status: 502, Errors: []string{"client_rejected: AADSTS7000222"}},
			vaultclient.EntraUnavailable, "client_rejected: AADSTS7000222", "", true,
		},
		"policy": {
			vaulttest.Answer{Status: 403, Errors: []string{"1 error occurred: permission denied"}},
			vaultclient.Forbidden, `do not grant "read" on entra/token/ci: an administrator has ` +
				`to add path "entra/token/ci" { capabilities = ["read"] }`, "", false,
		},
		"quota": {
			vaulttest.Answer{Status: 429, Errors: []string{"request path: rate limit quota exceeded"},
				Headers: map[string]string{"Retry-After": "7"}},
			vaultclient.Throttled, "a rate limit of Vault's", "", true,
		},
		"sealed": {
			vaulttest.Answer{Status: 503, Errors: []string{"Vault is sealed"}},
			vaultclient.Sealed, "is sealed", "vault operator unseal", true,
		},
		"trouble": {
			vaulttest.Answer{Status: 500, Errors: []string{"local node not active"}},
			vaultclient.Unreachable, "has trouble (status 500): local node not active", "", true,
		},
		"nothing mounted": {
			vaulttest.Answer{Status: 404, Errors: []string{
				"no handler for route \"entra/token/ci\". route entry not found."}},
			vaultclient.NoMount, "no secrets engine is mounted where entra/token/ci would be",
			"vault secrets list", false,
		},
		"an older engine": {
			vaulttest.Answer{Status: 404, Errors: []string{"1 error occurred: unsupported path"}},
			vaultclient.NothingThere, "unsupported path", "", false,
		},
		"another engine": {
			vaulttest.Answer{Data: map[string]any{"password": "x"}},
			vaultclient.Failed, "is no token of the entra engine", "", false,
		},
	} {
		v.Answer("entra/token/ci", test.answer)
		refused := refusal(t, client)
		if refused.Class != test.class || !strings.Contains(refused.Text, test.text) ||
			refused.Command != test.command || refused.Passing() != test.passing {
			t.Errorf("%s: %+v", name, refused)
		}
		if name == "quota" && refused.RetryAfter != 7*time.Second {
			t.Errorf("tried again after %s", refused.RetryAfter)
		}
	}
}

// TestDeniedFields checks that a policy which forbids a field is not taken for one that lacks the
// path.
func TestDeniedFields(t *testing.T) {
	v := vaulttest.New(t)
	v.Refuse("entra/login/ci", 403, "permission denied")
	for capability, want := range map[string]string{
		"update": "but not with all of its fields", "deny": `do not grant "update" on entra/login/ci`,
	} {
		v.Answer("sys/capabilities-self", vaulttest.Answer{Data: map[string]any{
			"entra/login/ci": []string{capability}}})
		_, err := newClient(t).Write(t.Context(), "entra/login/ci", nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", capability, err)
		}
	}
}

// TestNoVault checks what is said where nothing listens, and of an address that cannot be meant.
func TestNoVault(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + taken.Addr().String()
	taken.Close()
	vaulttest.Environment(t, address)
	refused := refusal(t, newClient(t))
	if refused.Class != vaultclient.Unreachable ||
		refused.Error() != "Vault at "+address+" cannot be reached: connection refused" {
		t.Errorf("%v", refused)
	}
	t.Setenv("VAULT_SKIP_VERIFY", "perhaps")
	if _, err := vaultclient.New(); err == nil || !strings.Contains(err.Error(), "VAULT_SKIP_VERIFY") {
		t.Errorf("a bad setting: %v", err)
	}
}

// TestVaultToken checks where the token comes from, and what is said without a good one.
func TestVaultToken(t *testing.T) {
	v := vaulttest.New(t)
	v.AccessToken("entra/token/ci", "a", "User.Read", time.Minute, time.Hour)
	t.Setenv("VAULT_TOKEN", "")
	if refused := refusal(t, newClient(t)); refused.Class != vaultclient.NoVaultToken ||
		refused.Command != "vault login" {
		t.Errorf("no token: %v", refused)
	}
	kept := filepath.Join(os.Getenv("HOME"), ".vault-token")
	keep := func(token string) {
		if err := os.WriteFile(kept, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keep("an-old-one")
	client := newClient(t)
	if refused := refusal(t, client); refused.Class != vaultclient.NoVaultToken ||
		!strings.Contains(refused.Text, "does not take the token any more") {
		t.Errorf("an old token: %v", refused)
	}
	keep(vaulttest.Token) // vault login, meanwhile
	if _, err := client.Token(t.Context(), ci, 0); err != nil {
		t.Errorf("after vault login: %v", err)
	}
	v.Takes("") // an Agent adds one
	t.Setenv("VAULT_TOKEN", "")
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	t.Setenv("VAULT_AGENT_ADDR", v.URL)
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:1")
	client = newClient(t)
	if _, err := client.Token(t.Context(), ci, 0); err != nil || client.HasToken() ||
		client.Address() != v.URL {
		t.Errorf("through an agent at %s: %v", client.Address(), err)
	}
}

// TestList checks that an empty list is none and no error.
func TestList(t *testing.T) {
	v := vaulttest.New(t)
	client := newClient(t)
	if keys, err := client.List(t.Context(), "entra/roles"); err != nil || len(keys) != 0 {
		t.Errorf("no roles: %v, %v", keys, err)
	}
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{"a", "b"}}})
	keys, err := client.List(t.Context(), "entra/roles")
	if err != nil || strings.Join(keys, ",") != "a,b" {
		t.Errorf("%v, %v", keys, err)
	}
}

// TestInterrupted checks that an interrupted request is no fault of Vault's.
func TestInterrupted(t *testing.T) {
	v := vaulttest.New(t)
	defer v.Hold()()
	ctx, interrupt := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer interrupt()
	if _, err := newClient(t).Token(ctx, ci, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// TestKeepAlive checks that a token is renewed at two thirds of its life, and a failure is told
// once.
func TestKeepAlive(t *testing.T) {
	v := vaulttest.New(t)
	v.Answer("auth/token/lookup-self", vaulttest.Answer{Data: map[string]any{"renewable": true}})
	v.Answer("auth/token/renew-self", vaulttest.Answer{Auth: map[string]any{
		"client_token": vaulttest.Token, "renewable": true, "lease_duration": 1,
	}})
	client := newClient(t)
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan error, 10)
	ended := make(chan struct{})
	go func() {
		client.KeepAlive(ctx, func(err error) { told <- err })
		close(ended)
	}()
	deadline := time.Now().Add(10 * time.Second)
	for v.Asked("auth/token/renew-self") < 2 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	if n := v.Asked("auth/token/renew-self"); n < 2 {
		t.Errorf("renewed %d times", n)
	}
	v.Refuse("auth/token/renew-self", 400, "token not renewable")
	select {
	case err := <-told:
		if !strings.Contains(err.Error(), "token not renewable") {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("the failure was not told")
	}
	stop()
	<-ended
}
