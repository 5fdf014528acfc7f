// SPDX-License-Identifier: MPL-2.0

package docs

import (
	"strings"
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// vault path-help speaks of the mount and of each path as of HashiCorp's own.
func TestPathHelp(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t)
	help := func(path string) string {
		t.Helper()
		var answer struct {
			Help string `json:"help"`
		}
		e.Get(path + "?help=1").Want(200).Into(&answer)
		return answer.Help
	}

	mount := help("entra/")
	for _, says := range []string{
		"## DESCRIPTION", "## PATHS", "^config$", "^login/", "^callback", "^token/", "^check/",
		"^account/",
		"token/<account>",
	} {
		if !strings.Contains(mount, says) {
			t.Errorf("the mount's help does not say %q:\n%s", says, mount)
		}
	}
	for path, parameters := range map[string][]string{
		"config":         {"client_id", "client_secret", "redirect_uris", "tenant_id", "verify"},
		"login/alice":    {"account", "scopes", "redirect_uri", "response_mode", "prompt"},
		"callback":       {"code", "state", "error"},
		"callback/alice": {"account", "code", "state", "url"},
		"token/alice":    {"account", "min_ttl"},
		"check/alice":    {"account"},
		"account/":       nil,
		"account/alice":  {"account"},
	} {
		text := help("entra/" + path)
		if !strings.HasPrefix(text, "Request: ") || !strings.Contains(text, "Matching Route: ") ||
			!strings.Contains(text, "## DESCRIPTION") {
			t.Errorf("%s: help is not complete:\n%s", path, text)
		}
		for _, name := range parameters {
			if !strings.Contains(text, "    "+name+" (") {
				t.Errorf("%s: help does not name %s:\n%s", path, name, text)
			}
		}
		if strings.Contains(text, "<no description>") || strings.Contains(text, "No help") {
			t.Errorf("%s: help has gaps:\n%s", path, text)
		}
	}
}
