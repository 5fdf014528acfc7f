// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// graphPrefixes are the ways to write the resource that a bare scope belongs to, in each cloud and
// as its application id.
var graphPrefixes = []string{
	"https://graph.microsoft.com/",
	"https://graph.microsoft.us/",
	"https://dod-graph.microsoft.us/",
	"https://microsoftgraph.chinacloudapi.cn/",
	"00000003-0000-0000-c000-000000000000/",
}

// identityScopes belong to no resource.
var identityScopes = []string{"openid", "profile", "email", "offline_access"}

const defaultScope = ".default"

// scopeToken is RFC 6749 section 3.3: printable ASCII without space, quote and backslash.
var scopeToken = regexp.MustCompile(`^[\x21\x23-\x5B\x5D-\x7E]+$`)

// CheckScopes says whether one token can be had for these scopes: Entra makes a token for one
// resource, and does not mix `.default` with named scopes. The error tells what to change.
func CheckScopes(scopes []string) error {
	if len(scopes) == 0 {
		return errors.New("at least one scope is needed")
	}
	if err := checkGrammar(scopes); err != nil {
		return err
	}
	resource, first := "", ""
	byDefault, byName := "", ""
	for _, scope := range scopes {
		of, name := splitScope(scope)
		if of == "" && slices.Contains(identityScopes, name) {
			continue
		}
		if first == "" {
			resource, first = of, scope
		}
		if of != resource {
			return fmt.Errorf(
				"%s and %s are of different resources, and a token is for one resource: use "+
					"one role for each",
				first, scope)
		}
		if name == defaultScope {
			byDefault = scope
		} else {
			byName = scope
		}
	}
	switch {
	case first == "":
		return errors.New(
			"openid, profile, email and offline_access are no resource's scopes: name a scope " +
				"of the API that the token is for",
		)
	case byDefault != "" && byName != "":
		return fmt.Errorf(
			"%s cannot stand beside %s: .default already asks for everything that was consented to",
			byDefault, byName)
	}
	return nil
}

// checkGrammar holds each scope to the grammar of RFC 6749 section 3.3.
func checkGrammar(scopes []string) error {
	for _, scope := range scopes {
		if !scopeToken.MatchString(scope) {
			return fmt.Errorf(
				"%q is not a scope: a scope is printable ASCII without spaces, quotes and "+
					"backslashes (list several as separate values)",
				scope)
		}
	}
	return nil
}

// Missing returns those of the scopes asked for that were not granted, as they were asked for.
// Entra may grant more than that, in another case, and names Graph's scopes bare or in full. What
// `.default` and the identity scopes bring is not told by name, so they are never missing.
func Missing(asked, granted []string) []string {
	have := map[string]bool{}
	for _, scope := range granted {
		have[canonicalScope(scope)] = true
	}
	var missing []string
	for _, scope := range asked {
		resource, name := splitScope(scope)
		reserved := name == defaultScope || resource == "" && slices.Contains(identityScopes, name)
		if !reserved && !have[canonicalScope(scope)] {
			missing = append(missing, scope)
		}
	}
	return missing
}

// ScopeResource is the resource of a scope, in lower case and without a slash at its end: "" for
// Microsoft Graph, by any of its names. It is false for openid and the others that are no
// resource's.
func ScopeResource(scope string) (resource string, ofOne bool) {
	resource, name := splitScope(scope)
	return resource, resource != "" || !slices.Contains(identityScopes, name)
}

// splitScope parts a scope in its resource, "" for Graph, and its name, both in lower case.
// In `https://management.azure.com//.default` the second slash is part of the resource's own name.
func splitScope(scope string) (resource, name string) {
	scope = strings.ToLower(scope)
	for _, prefix := range graphPrefixes {
		if rest, isGraph := strings.CutPrefix(scope, prefix); isGraph {
			return "", strings.TrimLeft(rest, "/")
		}
	}
	slash := strings.LastIndexByte(scope, '/')
	if slash < 0 {
		return "", scope
	}
	return strings.TrimRight(scope[:slash], "/"), scope[slash+1:]
}

func canonicalScope(scope string) string {
	resource, name := splitScope(scope)
	return resource + "/" + name
}
