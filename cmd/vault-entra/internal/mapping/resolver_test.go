// SPDX-License-Identifier: MPL-2.0

package mapping

import (
	"errors"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaulttest"
)

// mountWithRoles is a Vault whose mount has three roles.
func mountWithRoles(t *testing.T) (*vaulttest.Server, *vaultclient.Client) {
	t.Helper()
	v := vaulttest.New(t)
	v.Answer("entra/roles", vaulttest.Answer{Data: map[string]any{
		"keys": []string{"arm", "mail", "calendar"}}})
	for role, scope := range map[string]string{
		"arm": "https://management.azure.com//user_impersonation", "mail": "Mail.Read",
		"calendar": "https://graph.microsoft.com/Calendars.Read",
	} {
		v.Answer("entra/roles/"+role, vaulttest.Answer{Data: map[string]any{
			"scopes": []string{"openid", scope}}})
	}
	client, err := vaultclient.New()
	if err != nil {
		t.Fatal(err)
	}
	return v, client
}

// TestByRoles checks the lookups without a map, and that the roles are read once.
func TestByRoles(t *testing.T) {
	v, client := mountWithRoles(t)
	r := &Resolver{Vault: client, Account: "ci"}
	for range 3 {
		choice, err := r.Resource(t.Context(), "https://management.azure.com/")
		if err != nil || choice.Path() != "entra/token/ci/arm" || choice.Assumed {
			t.Errorf("%+v, %v", choice, err)
		}
	}
	if n := v.Asked("entra/roles"); n != 1 {
		t.Errorf("the roles were listed %d times", n)
	}
	_, err := r.Resource(t.Context(), "https://graph.microsoft.com")
	if err == nil || !strings.Contains(err.Error(), "the roles mail, calendar are all of") {
		t.Errorf("two roles of one resource: %v", err)
	}
	choice, err := r.Resource(t.Context(), "https://vault.azure.net")
	if err != nil || choice.Path() != "entra/token/ci" || !choice.Assumed {
		t.Errorf("no role of it: %+v, %v", choice, err)
	}
	graphToken := &vaultclient.Token{Scope: "User.Read openid"}
	if err := choice.Check(graphToken, "https://graph.microsoft.com"); err != nil {
		t.Errorf("the default token is of it: %v", err)
	}
	err = choice.Check(graphToken, "https://vault.azure.net")
	if err == nil || !strings.Contains(err.Error(),
		"entra/token/ci is no token for it (its scopes are User.Read openid)") {
		t.Errorf("the default token is of another: %v", err)
	}
}

// TestRolesForbidden checks that the message says what the policy has to grant.
func TestRolesForbidden(t *testing.T) {
	v, client := mountWithRoles(t)
	v.Refuse("entra/roles", 403, "permission denied")
	r := &Resolver{Vault: client, Account: "ci"}
	choice, err := r.Resource(t.Context(), "https://vault.azure.net")
	if err != nil || !choice.Assumed {
		t.Fatalf("%+v, %v", choice, err)
	}
	err = choice.Check(&vaultclient.Token{Scope: "User.Read"}, "https://vault.azure.net")
	for _, want := range []string{
		`path "entra/roles" { capabilities = ["list"] }`, `["read"] on entra/roles/*`, "-role",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; it lacks %s", err, want)
		}
	}
	for range 10 {
		if _, err := r.Resource(t.Context(), "https://vault.azure.net"); err != nil {
			t.Error(err)
		}
	}
	if n := v.Asked("entra/roles"); n != 1 {
		t.Errorf("Vault was asked %d times for what the policy lacks", n)
	}
}

// TestRolesWhileSealed checks that a Vault in trouble is told where nothing is known, and that what
// is known counts meanwhile.
func TestRolesWhileSealed(t *testing.T) {
	v, client := mountWithRoles(t)
	r := &Resolver{Vault: client, Account: "ci"}
	v.Seal(true)
	var refused *vaultclient.Error
	if _, err := r.Resource(t.Context(), arm); !errors.As(err, &refused) ||
		refused.Class != vaultclient.Sealed {
		t.Errorf("at the start: %v", err)
	}
	v.Seal(false)
	for range 2 {
		if choice, err := r.Resource(t.Context(), arm); err != nil || choice.Role != "arm" {
			t.Errorf("%+v, %v", choice, err)
		}
		v.Seal(true)
		r.until = time.Time{} // what was read is old
	}
	if n := v.Asked("entra/roles"); n != 3 {
		t.Errorf("the roles were listed %d times", n)
	}
}

const arm = "https://management.azure.com/"

// TestPrecedence checks what wins over what.
func TestPrecedence(t *testing.T) {
	m := parse(t, example)
	for name, test := range map[string]struct {
		resolver *Resolver
		resource string
		want     string
		assumed  bool
	}{
		"the map": {&Resolver{Map: m}, "https://management.azure.com", "entra/token/ops/arm", false},
		"the map's account": {
			&Resolver{Map: m}, "https://vault.azure.net", "entra/token/ci", true,
		},
		"-account, of what the map does not name": {
			&Resolver{Map: m, Account: "me"}, "https://vault.azure.net", "entra/token/me", true,
		},
		"-account, of what the map names": {
			&Resolver{Map: m, Account: "me"}, "https://management.azure.com", "entra/token/ops/arm",
			false,
		},
		"-account, of what the map names without one": {
			&Resolver{Map: parse(t, `resource "x" { role = "r" }`), Account: "me"}, "x",
			"entra/token/me/r", false,
		},
		"-role": {
			&Resolver{Map: m, Role: "r"}, "https://management.azure.com", "entra/token/ci/r", false,
		},
		"-role without a map": {
			&Resolver{Account: "me", Role: "r", Mount: "m"}, "any", "m/token/me/r", false,
		},
		"-mount": {
			&Resolver{Map: m, Mount: "m"}, "https://graph.microsoft.com", "m/token/ci/graph", false,
		},
	} {
		choice, err := test.resolver.Resource(t.Context(), test.resource)
		if err != nil || choice.Path() != test.want || choice.Assumed != test.assumed {
			t.Errorf("%s: %+v, %v", name, choice, err)
		}
	}
}

// TestNobodyMaps checks what is said of a resource that has no token.
func TestNobodyMaps(t *testing.T) {
	m := parse(t, `resource "https://graph.microsoft.com" { account = "ci" role = "graph" }`)
	_, err := (&Resolver{Map: m}).Resource(t.Context(), "https://vault.azure.net")
	for _, want := range []string{
		"no token is mapped to https://vault.azure.net", "entra.hcl names no account",
		"mapped are https://graph.microsoft.com",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; it lacks %q", err, want)
		}
	}
	if _, err := (&Resolver{}).Resource(t.Context(), "x"); err == nil ||
		!strings.Contains(err.Error(), "-account or -map") {
		t.Errorf("neither: %v", err)
	}
	if _, err := (&Resolver{Account: "ci"}).Resource(t.Context(), "/"); err == nil {
		t.Error("no resource is one")
	}
}
