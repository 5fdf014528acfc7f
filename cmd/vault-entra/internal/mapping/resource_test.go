// SPDX-License-Identifier: MPL-2.0

package mapping

import "testing"

// TestResourceOf checks what a scope is of.
func TestResourceOf(t *testing.T) {
	for scope, want := range map[string]string{
		"User.Read":                                        graph,
		"https://graph.microsoft.com/Mail.Read":            graph,
		"https://graph.microsoft.com/.default":             graph,
		"https://graph.microsoft.com":                      graph,
		"https://management.azure.com//user_impersonation": "https://management.azure.com",
		"https://management.azure.com/.default":            "https://management.azure.com",
		"https://vault.azure.net/":                         "https://vault.azure.net",
		"api://f2a1/access":                                "api://f2a1",
		"499b84ac-1321-427f-aa17-267ca6975798":             azureDevOps,
		"499b84ac-1321-427f-aa17-267ca6975798/vso.code":    azureDevOps,
		"00000003-0000-0000-c000-000000000000/User.Read":   graph,
		"openid": "", "profile": "", "offline_access": "", "email": "",
	} {
		if got := ResourceOf(scope); got != want {
			t.Errorf("%s is of %q, want %q", scope, got, want)
		}
	}
}

const azureDevOps = "499b84ac-1321-427f-aa17-267ca6975798"

// TestGranted checks which tokens may be given for a resource that nobody mapped.
func TestGranted(t *testing.T) {
	for _, test := range []struct {
		scopes, resource string
		want             bool
	}{
		{"User.Read openid profile", "https://graph.microsoft.com/", true},
		{"User.Read openid profile", "00000003-0000-0000-c000-000000000000", true},
		{"User.Read openid profile", "https://graph.microsoft.us", true},
		{"User.Read openid profile", "https://management.azure.com/", false},
		{"openid profile", "https://graph.microsoft.com", false},
		{"https://management.azure.com//user_impersonation", "https://management.azure.com", true},
		{"https://management.azure.com//user_impersonation", "https://graph.microsoft.com", false},
		{"https://vault.azure.net/.default", "https://vault.azure.net/.default", true},
		{"https://vault.azure.net/.default", "https://vault.azure.net.evil.example", false},
		{"", "https://graph.microsoft.com", false},
	} {
		if got := Granted(test.scopes, test.resource); got != test.want {
			t.Errorf("%q for %s: %t", test.scopes, test.resource, got)
		}
	}
}
