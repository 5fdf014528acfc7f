// SPDX-License-Identifier: MPL-2.0

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker-credential-helpers/client"
	"github.com/docker/docker-credential-helpers/credentials"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// helper runs a command line, the name of a link first, with what its caller says.
func helper(in string, args ...string) (code int, out, said string) {
	var printed, messages strings.Builder
	code = start(args, streams{strings.NewReader(in), &printed, &messages})
	return code, printed.String(), messages.String()
}

const loginRequired = `login_required: account "ci" must sign in again. ` +
	`Run: vault write entra/login/ci roles=arm`

const gitAsks = "protocol=https\nhost=%\n\n"

// TestGitCredential checks which token git gets for a host, under each way to start the helper.
func TestGitCredential(t *testing.T) {
	v := vaultWithTokens(t)
	v.AccessToken("entra/token/ci/devops", "devops-token",
		"499b84ac-1321-427f-aa17-267ca6975798/user_impersonation", time.Minute, time.Hour)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{"devops"}}})
	v.Answer("entra/roles/devops", vaulttest.Answer{Data: map[string]any{
		"scopes": []string{"499b84ac-1321-427f-aa17-267ca6975798/user_impersonation"}}})
	file := mapFile(t, `git "git.example.com:8443" { account = "ci" role = "arm" }`)
	t.Setenv("VAULT_ENTRA_MAP", file)
	mapped := []string{"/usr/bin/git-credential-vault-entra.exe", "get"}
	byRole := []string{program, "git-credential", "-map=", "-account", "ci", "get"}
	for _, test := range []struct {
		host, password string
		args           []string
	}{
		{"git.example.com:8443", "arm-token", mapped},
		{"GIT.example.com:8443", "arm-token", mapped},
		{"git.example.com", "", mapped},
		{"github.com", "", mapped},
		{"dev.azure.com", "devops-token", byRole},
		{"contoso.visualstudio.com", "devops-token", byRole},
		{"git.example.com:8443", "", byRole},
	} {
		code, out, said := helper(strings.Replace(gitAsks, "%", test.host, 1), test.args...)
		if code != 0 || said != "" || test.password == "" && out != "" ||
			test.password != "" && !strings.HasPrefix(out,
				"username=ci@contoso.example\npassword="+test.password+"\npassword_expiry_utc=") {
			t.Errorf("%s: %d %s%s", test.host, code, out, said)
		}
	}
	v.Refuse("entra/token/ci/arm", 400, loginRequired)
	code, out, said := helper(strings.Replace(gitAsks, "%", "git.example.com:8443", 1), mapped...)
	if code != exitLoginRequired || out != "quit=1\n" ||
		!strings.Contains(said, "Run: vault-entra login -roles=arm ci") {
		t.Errorf("login required: %d %s%s", code, out, said)
	}
	v.Close() // a helper that stores nothing asks nobody
	if code, out, said := helper("", mapped[0], "store"); code != 0 || out+said != "" {
		t.Errorf("store: %d %s%s", code, out, said)
	}
	expect(t, 2, []string{"the action that git adds"}, "git-credential")
}

// TestKubectlCredential checks the version of the answer, and that the token is asked for anew when
// Vault has another, before it ends.
func TestKubectlCredential(t *testing.T) {
	v := vaultWithTokens(t)
	code, out, said := invoke(t, "kubectl-credential", "-account=ci", "-role=arm")
	expiry := time.Now().Add(50 * time.Minute).UTC().Format("2006-01-02T15:")
	if code != 0 || said != "" || !strings.Contains(out, `"token":"arm-token"`) ||
		!strings.Contains(out, `"expirationTimestamp":"`+expiry) ||
		!strings.Contains(out, `"apiVersion":"client.authentication.k8s.io/v1"`) {
		t.Errorf("%d %s%s, want %s", code, out, said, expiry)
	}
	v.AccessToken("entra/token/ci/arm", "arm-token", "", time.Hour, time.Minute)
	t.Setenv("KUBERNETES_EXEC_INFO",
		`{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential"}`)
	soon := time.Now().Add(time.Minute).UTC().Format("2006-01-02T15:04:")
	later := time.Now().Add(2 * time.Minute).UTC().Format("2006-01-02T15:04:")
	_, out, _ = invoke(t, "kubectl-credential", "-account=ci", "-role=arm")
	if !strings.Contains(out, "v1beta1") || !strings.Contains(out, soon) &&
		!strings.Contains(out, later) {
		t.Errorf("%s, want %s", out, soon)
	}
	expect(t, 0, []string{"graph-token"}, "kubectl-credential", "-account=ci",
		"-resource=https://graph.microsoft.com")
	expect(t, 1, []string{"no role is known for 6dae42f8-4368-4678-94ff-3960e28e3630"},
		"kubectl-credential", "-account=ci")
	v.Refuse("entra/token/ci/arm", 400, loginRequired)
	code, out, said = invoke(t, "kubectl-credential", "-account=ci", "-role=arm")
	if code != exitLoginRequired || out != "" || !strings.Contains(said, "vault-entra login") {
		t.Errorf("login required: %d %s%s", code, out, said)
	}
	t.Setenv("KUBERNETES_EXEC_INFO", "{}")
	expect(t, 1, []string{"KUBERNETES_EXEC_INFO"}, "kubectl-credential", "-account=ci")
}

// TestDockerCredential checks the exchange at a registry, and what docker is told of others.
func TestDockerCredential(t *testing.T) {
	v := vaultWithTokens(t)
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("tenant") == "the-tenant" {
			_, _ = w.Write([]byte(`{"refresh_token": "for ` + r.PostFormValue("access_token") + `"}`))
		}
	}))
	t.Cleanup(registry.Close)
	trusted := http.DefaultTransport
	http.DefaultTransport = registry.Client().Transport
	t.Cleanup(func() { http.DefaultTransport = trusted })
	host := registry.Listener.Addr().String()
	t.Setenv("VAULT_ENTRA_MAP", mapFile(t, `account = "ci"
registry "`+host+`" { role = "arm" }
registry "*.registry.example" {}`))
	name := filepath.Join("bin", "docker-credential-vault-entra")

	code, out, said := helper("https://"+host, name, "get")
	if code != 0 || said != "" || !strings.Contains(out, `"Secret":"for arm-token"`) {
		t.Errorf("get: %d %s%s", code, out, said)
	}
	code, out, said = helper("https://index.docker.io/v1/", name, "get")
	if code != 1 || said != "" || out != "credentials not found in native keychain\n" {
		t.Errorf("another registry: %d %s%s", code, out, said)
	}
	code, out, _ = helper("", name, "list")
	if code != 0 || strings.TrimSpace(out) != `{"`+host+`":"00000000-0000-0000-0000-000000000000"}` {
		t.Errorf("list: %d %s", code, out)
	}
	v.Refuse("entra/token/ci/arm", 400, loginRequired)
	code, out, said = helper(host, name, "get")
	if code != exitLoginRequired || said != "" || !strings.Contains(out, "vault-entra login") {
		t.Errorf("login required: %d %s%s", code, out, said)
	}
}

// TestDockerClient: docker's own package for helpers, which docker calls them by, gets the
// registry's token, and tells "not found" from a failure.
func TestDockerClient(t *testing.T) {
	v := vaultWithTokens(t)
	registry := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"refresh_token": "for ` + r.PostFormValue("access_token") + `"}`))
	}))
	t.Cleanup(registry.Close)
	host := registry.Listener.Addr().String()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		envChild: "vault-entra", "SSL_CERT_FILE": certificateFile(t, registry),
		"VAULT_ENTRA_MAP": mapFile(t, `registry "`+host+`" { account = "ci" role = "arm" }`),
	}
	docker := func(args ...string) client.Program {
		shell := client.NewShellProgramFuncWithEnv(own, &env)
		return shell(append([]string{"docker-credential"}, args...)...)
	}
	got, err := client.Get(docker, "https://"+host)
	if err != nil || got.Secret != "for arm-token" ||
		got.Username != "00000000-0000-0000-0000-000000000000" {
		t.Errorf("get: %v, %v", got, err)
	}
	if got, err := client.Get(docker, "index.docker.io"); !credentials.IsErrCredentialsNotFound(err) {
		t.Errorf("another registry: %v, %v", got, err)
	}
	if all, err := client.List(docker); err != nil || len(all) != 1 || all[host] == "" {
		t.Errorf("list: %v, %v", all, err)
	}
	if err := client.Erase(docker, host); err != nil {
		t.Errorf("erase: %v", err)
	}
	err = client.Store(docker, &credentials.Credentials{ServerURL: host, Username: "a", Secret: "b"})
	if err == nil || !strings.Contains(err.Error(), "vault-entra stores nothing") {
		t.Errorf("store: %v", err)
	}
	v.Refuse("entra/token/ci/arm", 400, loginRequired)
	if _, err := client.Get(docker, host); err == nil ||
		!strings.Contains(err.Error(), "Run: vault-entra login -roles=arm ci") {
		t.Errorf("login required: %v", err)
	}
}

// TestRegistryToken checks which resource a token for Azure Container Registry is of.
func TestRegistryToken(t *testing.T) {
	v := vaultWithTokens(t)
	token := func(host string) string {
		t.Helper()
		tokens, err := (&selection{account: "ci"}).open()
		if err != nil {
			t.Fatal(err)
		}
		token, err := tokens.Registry(t.Context(), host)
		switch {
		case err != nil:
			return err.Error()
		case token == nil:
			return ""
		}
		return token.AccessToken
	}
	if got := token("contoso.AzureCR.io"); got != "arm-token" {
		t.Errorf("without a role of its own: %s", got)
	}
	for _, other := range []string{"azurecr.io.example", "azurecr.io", "a.azurecr.io:8443", ""} {
		if got := token(other); got != "" {
			t.Errorf("%s: %s", other, got)
		}
	}
	const own = "https://containerregistry.azure.net/user_impersonation"
	v.AccessToken("entra/token/ci/acr", "acr-token", own, time.Minute, time.Hour)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{"keys": []string{"acr", "arm"}}})
	v.Answer("entra/roles/acr", vaulttest.Answer{Data: map[string]any{"scopes": []string{own}}})
	if got := token("contoso.azurecr.cn"); got != "acr-token" {
		t.Errorf("with a role of its own: %s", got)
	}
	v.Seal(true)
	if got := token("contoso.azurecr.us"); !strings.Contains(got, "sealed") {
		t.Errorf("sealed: %s", got)
	}
}

// TestAz checks the command line of Azure's SDKs under the name az, and az's exit codes.
func TestAz(t *testing.T) {
	v := vaultWithTokens(t)
	t.Setenv("VAULT_ENTRA_ACCOUNT", "ci")
	t.Setenv("AZURE_SUBSCRIPTION_ID", "")
	t.Setenv("ARM_SUBSCRIPTION_ID", "the-subscription")
	ask := func(args ...string) []string {
		return append([]string{"/opt/bin/az", "account", "get-access-token"}, args...)
	}
	code, out, said := helper("", ask("-o", "json", "--resource", "https://management.azure.com")...)
	if code != 0 || said != "" || !strings.Contains(out, `"accessToken": "arm-token"`) ||
		!strings.Contains(out, `"subscription": "the-subscription"`) {
		t.Errorf("%d %s%s", code, out, said)
	}
	code, out, said = helper("", program, "az", "-account=ci", "-role=arm", "account", "show",
		"--query", "tenantId", "-o", "tsv")
	if code != 0 || out != "the-tenant\n" || said != "" {
		t.Errorf("account show: %d %s%s", code, out, said)
	}
	if code, out, said = helper("", "az", "vm", "list"); code != 2 || out != "" ||
		!strings.Contains(said, "ERROR: az vm list: this is vault-entra") {
		t.Errorf("az vm list: %d %s%s", code, out, said)
	}
	v.Refuse("entra/token/ci/arm", 400, loginRequired)
	code, out, said = helper("", ask()...)
	if code != 1 || out != "" || !strings.Contains(said, "Run: vault-entra login -roles=arm ci") ||
		strings.Contains(said, "az login") {
		t.Errorf("login required: %d %s%s", code, out, said)
	}
}
