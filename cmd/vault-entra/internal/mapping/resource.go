// SPDX-License-Identifier: MPL-2.0

package mapping

import (
	"net/url"
	"regexp"
	"strings"

	"vault-plugin-secrets-entra/internal/entra"
)

// graph is how Microsoft Graph is written where a scope names no resource.
const graph = "https://graph.microsoft.com"

// Canonical is a resource in the one form that lookups use: in lower case, without slashes at its
// end and without `/.default`. Programs write "https://management.azure.com",
// "https://management.azure.com/" and "https://management.azure.com//.default" for the same.
func Canonical(resource string) string {
	resource = strings.ToLower(strings.TrimSpace(resource))
	resource = strings.TrimSuffix(resource, ".default")
	return strings.TrimRight(resource, "/")
}

// guid is the application ID of a resource, which stands for it in any cloud.
var guid = regexp.MustCompile(`^(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// ResourceOf is the resource of a scope: "https://graph.microsoft.com" of
// "https://graph.microsoft.com/Mail.Read" and of a bare "Mail.Read", "" of "openid" and other
// scopes that are no resource's. What is a resource already stays one.
func ResourceOf(scope string) string {
	u, err := url.Parse(scope)
	if guid.MatchString(scope) ||
		err == nil && u.Scheme != "" && strings.Trim(u.Path, "/") == "" {
		return Canonical(scope)
	}
	resource, ofOne := entra.ScopeResource(scope)
	switch {
	case !ofOne:
		return ""
	case resource == "":
		return graph
	}
	return Canonical(resource)
}

// Granted reports whether granted scopes, separated by spaces as a token's answer has them, are
// those of a resource.
func Granted(scopes, resource string) bool {
	wanted := Canonical(resource)
	for _, scope := range strings.Fields(scopes) {
		of := ResourceOf(scope)
		if of != "" && (of == wanted || isGraph(of) && isGraph(wanted)) {
			return true
		}
	}
	return false
}

// isGraph reports whether a resource is Microsoft Graph, by any of its names.
func isGraph(resource string) bool {
	of, _ := entra.ScopeResource(resource + "/.default")
	return of == ""
}
