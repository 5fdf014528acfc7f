// SPDX-License-Identifier: MPL-2.0

package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// wellVault is a Vault where everything works for the account ci.
func wellVault(t *testing.T) *vaulttest.Server {
	t.Helper()
	v := vaultWithTokens(t)
	grants(v, "entra/token/ci", "read")
	for _, path := range []string{"entra/check/ci", "entra/check/ci/arm"} {
		v.Answer(path, vaulttest.Answer{Data: map[string]any{
			"ready": true, "word": "", "message": `account "ci": the held token is fresh`,
			"command": "", "good_for": 3000,
		}})
	}
	return v
}

// grants makes a policy grant a capability on each path that is asked about.
func grants(v *vaulttest.Server, path string, capabilities ...string) {
	data := map[string]any{"entra/roles": []string{"list"}}
	for _, known := range []string{"entra/token/ci", "entra/token/ci/arm"} {
		data[known] = []string{"read"}
	}
	data[path] = capabilities
	v.Answer("sys/capabilities-self", vaulttest.Answer{Data: data})
}

// findingsOf runs the doctor and returns its findings by what was looked at.
func findingsOf(t *testing.T, want int, args ...string) map[string][]finding {
	t.Helper()
	code, out, said := invoke(t, append([]string{"doctor", "-format=json"}, args...)...)
	var findings []finding
	if err := json.Unmarshal([]byte(out), &findings); err != nil {
		t.Fatalf("%v: %s%s", err, out, said)
	}
	if code != want {
		t.Errorf("it ended with %d, want %d: %s", code, want, out)
	}
	by := map[string][]finding{}
	for _, f := range findings {
		by[f.Check] = append(by[f.Check], f)
	}
	return by
}

// has fails the test unless one of the findings is this one.
func has(t *testing.T, by map[string][]finding, check, status, detail, command string) {
	t.Helper()
	for _, f := range by[check] {
		if f.Status == status && strings.Contains(f.Detail, detail) && f.Command == command {
			return
		}
	}
	t.Errorf("no %s %s %q, run %q in %+v", check, status, detail, command, by)
}

// TestDoctorAllWell checks what is said where nothing is wrong, and that no token is read for it.
func TestDoctorAllWell(t *testing.T) {
	v := wellVault(t)
	by := findingsOf(t, 0, "ci")
	has(t, by, "settings", "ok", "VAULT_ADDR is "+v.URL, "")
	has(t, by, "vault", "ok", "Vault 1.21.4 answers", "")
	has(t, by, "clock", "ok", "agree", "")
	has(t, by, "vault_token", "ok", "with the policies default", "")
	has(t, by, "token", "ok", "entra/token/ci: account \"ci\": the held token is fresh", "")
	has(t, by, "policy", "ok", "the roles of entra can be listed", "")
	if n := v.Asked("entra/token/ci"); n != 0 {
		t.Errorf("the token was read %d times", n)
	}
	expect(t, 0, []string{"ok       Vault 1.21.4 answers, and is unsealed\n"}, "doctor", "ci")
	by = findingsOf(t, 0)
	has(t, by, "token", "warning", "no account and no map is named", "vault-entra doctor ACCOUNT")
	file := mapFile(t, `account = "ci"
resource "x" { role = "arm" }`)
	by = findingsOf(t, 0, "-map", file)
	has(t, by, "map", "ok", "names 1 resources", "")
	has(t, by, "token", "ok", "entra/token/ci:", "")
	has(t, by, "token", "ok", "entra/token/ci/arm:", "")
}

// TestDoctor checks what is found of each thing that is wrong, and the code that it ends with.
func TestDoctor(t *testing.T) {
	notReady := func(word, message, command string) func(*testing.T, *vaulttest.Server) {
		return func(_ *testing.T, v *vaulttest.Server) {
			v.Answer("entra/check/ci", vaulttest.Answer{Data: map[string]any{
				"ready": false, "word": word, "message": message, "command": command,
			}})
		}
	}
	for name, test := range map[string]struct {
		with                           func(*testing.T, *vaulttest.Server)
		code                           int
		check, status, detail, command string
	}{
		"sealed": {
			func(_ *testing.T, v *vaulttest.Server) { v.Seal(true) }, 4, "vault", "failed", "Vault is sealed",
			"vault operator unseal",
		},
		"not initialized": {
			func(_ *testing.T, v *vaulttest.Server) {
				v.Answer("sys/health", vaulttest.Answer{Body: map[string]any{"initialized": false}})
			}, 4, "vault", "failed", "Vault is not initialized", "vault operator init",
		},
		"unreachable": {
			func(_ *testing.T, v *vaulttest.Server) { v.Close() }, 4, "vault", "failed", "cannot be reached", "",
		},
		"no token": {
			func(t *testing.T, _ *vaulttest.Server) { t.Setenv("VAULT_TOKEN", "") }, 3, "vault_token", "failed",
			"there is no Vault token", "vault login",
		},
		"an old token": {
			func(_ *testing.T, v *vaulttest.Server) { v.Takes("another") }, 3, "vault_token", "failed",
			"Vault does not take the token any more", "vault login",
		},
		"a token that ends": {
			func(_ *testing.T, v *vaulttest.Server) {
				v.Answer("auth/token/lookup-self", vaulttest.Answer{Data: map[string]any{
					"renewable": false, "ttl": 600, "policies": []string{"default"}}})
			}, 0, "vault_token", "warning", "the token ends in 10m0s and cannot be renewed",
			"vault login",
		},
		"the clock": {
			func(_ *testing.T, v *vaulttest.Server) { v.Healthy(time.Now().Add(-10 * time.Minute)) }, 0, "clock",
			"warning", "ahead of Vault's", "timedatectl set-ntp true",
		},
		"the clock, the other way": {
			func(_ *testing.T, v *vaulttest.Server) { v.Healthy(time.Now().Add(10 * time.Minute)) }, 0, "clock",
			"warning", "behind Vault's", "timedatectl set-ntp true",
		},
		"the policy": {
			func(_ *testing.T, v *vaulttest.Server) { grants(v, "entra/token/ci", "deny") }, 1, "policy", "failed",
			`path "entra/token/ci" { capabilities = ["read"] }`, "",
		},
		"the policy of the roles": {
			func(_ *testing.T, v *vaulttest.Server) { grants(v, "entra/roles", "deny") }, 0, "policy", "warning",
			`path "entra/roles" { capabilities = ["list"] }`, "",
		},
		"login": {
			notReady("login_required", `account "ci" must sign in again`,
				"vault write entra/login/ci roles=arm"),
			3, "token", "failed", `login_required: account "ci" must sign in again`,
			"vault-entra login -roles=arm ci",
		},
		"no account": {
			notReady("unknown_account", `no account "ci" in this mount`, "vault write -f entra/login/ci"),
			3, "token", "failed", `no account "ci" in this mount`, "vault-entra login ci",
		},
		"disabled": {
			notReady("account_disabled", "off", "vault write entra/account/ci disabled=false"),
			1, "token", "failed", "account_disabled: off", "vault write entra/account/ci disabled=false",
		},
		"Entra": {
			notReady("entra_unavailable", "slow", ""), 4, "token", "failed",
			"entra_unavailable: slow", "",
		},
		"an engine without check/": {
			func(_ *testing.T, v *vaulttest.Server) { v.Refuse("entra/check/ci", 404, "unsupported path") }, 0,
			"token", "ok", "entra/token/ci is a token of ci@contoso.example", "",
		},
		"check/ is not granted": {
			func(_ *testing.T, v *vaulttest.Server) { v.Refuse("entra/check/ci", 403, "permission denied") }, 0,
			"token", "ok", "entra/token/ci is a token of ci@contoso.example", "",
		},
		"nothing mounted": {
			func(_ *testing.T, v *vaulttest.Server) {
				v.Refuse("entra/check/ci", 404, "no handler for route")
			}, 1, "token", "failed", "no secrets engine is mounted where entra/check/ci would be",
			"vault secrets list",
		},
	} {
		t.Run(name, func(t *testing.T) {
			test.with(t, wellVault(t))
			by := findingsOf(t, test.code, "ci")
			has(t, by, test.check, test.status, test.detail, test.command)
		})
	}
	wellVault(t)
	t.Setenv("VAULT_ADDR", "")
	by := findingsOf(t, 4, "ci")
	has(t, by, "settings", "warning", "https://127.0.0.1:8200 is asked",
		"export VAULT_ADDR=https://vault.example.com:8200")
	v := wellVault(t)
	by = findingsOf(t, 1, "-map", mapFile(t, "account = 1"))
	has(t, by, "map", "failed", "line 1: account is a string", "")
	has(t, by, "vault", "ok", "Vault 1.21.4", "") // the rest is looked at all the same
	v.Takes("")
	t.Setenv("VAULT_TOKEN", "")
	t.Setenv("VAULT_AGENT_ADDR", v.URL)
	by = findingsOf(t, 0, "ci")
	has(t, by, "settings", "ok", "VAULT_AGENT_ADDR is "+v.URL, "")
	has(t, by, "vault_token", "ok", "Vault takes the Agent's token", "")
}
