// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"slices"
	"strings"
)

// maxSignInResources is how many APIs one authorization request may name. Microsoft does not say;
// people report three (MSAL for JavaScript, issue 1548).
const maxSignInResources = 3

// ScopeSet is what one role asks for, or, without a name, the account itself.
type ScopeSet struct {
	Name   string
	Scopes []string // of one resource: see CheckScopes
}

// LeftOutReason says why a set of scopes does not go into an authorization request.
type LeftOutReason string

const (
	// LeftOutDefault is a .default beside other scopes. Such a resource needs static consent: an
	// administrator's, or a sign-in for that resource alone.
	LeftOutDefault LeftOutReason = "default_beside_others"
	// LeftOutBesideDefault is what cannot stand beside the .default that the sign-in is for.
	LeftOutBesideDefault LeftOutReason = "beside_default"
	// LeftOutResources is a set of a fourth resource.
	LeftOutResources LeftOutReason = "too_many_resources"
)

// LeftOut is a set of scopes that a sign-in cannot ask for together with the others.
type LeftOut struct {
	ScopeSet
	Reason LeftOutReason
}

// ComposeScopes puts together what one authorization request asks for: what the sign-in is for,
// base, and as much of the roles as Entra takes in the same request. At the authorize endpoint a
// .default stands alone beside the OpenID scopes, whatever the resource (AADSTS70011; MSAL for
// JavaScript, issues 1718 and 4071), and too many resources are refused. Base is never left out,
// but where it is empty the first role stands for it. The order is kept; nothing stands twice.
//
// The limit of resources is Entra's, and not applied where AuthorityURL names another provider.
func (c Config) ComposeScopes(base []string, roles []ScopeSet) (scopes []string, left []LeftOut) {
	sets := append([]ScopeSet{{Scopes: base}}, roles...)
	sets = slices.DeleteFunc(sets, func(set ScopeSet) bool { return len(set.Scopes) == 0 })
	lead := leadingSet(sets)
	limit := maxSignInResources
	if a := newAuthority(c); a.custom && !a.isEntra() && !a.isLoopback() {
		limit = len(sets)
	}
	var resources []string
	for i, set := range sets {
		resource, byDefault := resourceOf(set.Scopes)
		reason := LeftOutReason("")
		switch {
		case i == lead, containsAll(sets[lead].Scopes, set.Scopes), resource == noResource:
		case byDefault:
			reason = LeftOutDefault
		case isDefaultSet(sets[lead]):
			reason = LeftOutBesideDefault
		case !slices.Contains(resources, resource) && len(resources) >= limit:
			reason = LeftOutResources
		}
		if reason != "" {
			left = append(left, LeftOut{ScopeSet: set, Reason: reason})
			continue
		}
		if resource != noResource && !slices.Contains(resources, resource) {
			resources = append(resources, resource)
		}
		for _, scope := range set.Scopes {
			if !slices.Contains(scopes, scope) {
				scopes = append(scopes, scope)
			}
		}
	}
	return scopes, left
}

// noResource stands for a set of OpenID scopes alone. The resource "" is Graph.
const noResource = "\x00"

// leadingSet is the index of the set that a sign-in is for: the account's own, else the first with
// named scopes, else the first.
func leadingSet(sets []ScopeSet) int {
	if len(sets) == 0 || sets[0].Name == "" {
		return 0
	}
	return max(0, slices.IndexFunc(sets, func(set ScopeSet) bool { return !isDefaultSet(set) }))
}

func isDefaultSet(set ScopeSet) bool {
	_, byDefault := resourceOf(set.Scopes)
	return byDefault
}

// resourceOf is the resource of a set's first scope that has one, and whether the set is a
// .default.
func resourceOf(scopes []string) (resource string, byDefault bool) {
	for _, scope := range scopes {
		of, name := splitScope(scope)
		if of == "" && slices.Contains(identityScopes, name) {
			continue
		}
		return of, name == defaultScope
	}
	return noResource, false
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some,
		func(scope string) bool { return !slices.Contains(all, scope) })
}

// CheckScopes says whether one token can be had for these scopes at this authority. At Entra it is
// the function of that name. At any other authority the OpenID scopes and email are scopes like
// others, none need be named, and a provider that is not Entra knows no resources. The error tells
// what to change.
func (c Config) CheckScopes(scopes []string) error {
	a := newAuthority(c)
	if !a.custom {
		return CheckScopes(scopes)
	}
	if err := checkGrammar(scopes); err != nil {
		return err
	}
	named := slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool {
		return slices.Contains(identityScopes, strings.ToLower(scope))
	})
	if len(named) == 0 || !a.isEntra() && !a.isLoopback() {
		return nil
	}
	return CheckScopes(named)
}

// ByClientID is a scope of the application's own API, api://<client_id>/<name>, as
// <client_id>/<name>: some tenants refuse the first form at a refresh (AADSTS90009). False for any
// other scope.
func ByClientID(clientID, scope string) (string, bool) {
	const scheme = "api://"
	prefix := scheme + clientID + "/"
	if clientID == "" || len(scope) <= len(prefix) ||
		!strings.EqualFold(scope[:len(prefix)], prefix) {
		return "", false
	}
	return scope[len(scheme):], true
}
