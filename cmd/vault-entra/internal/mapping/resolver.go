// SPDX-License-Identifier: MPL-2.0

package mapping

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const (
	rolesKept  = 5 * time.Minute  // the resolver goes by the roles that it has read
	rolesRetry = 10 * time.Second // and by what it knew, before it asks a Vault in trouble again
	lackKept   = time.Minute      // and by an account's not having a role
)

// Resolver finds the token of a resource: by a role that was asked for, by the map, or by the
// scopes of the mount's roles.
type Resolver struct {
	Vault   *vaultclient.Client
	Map     *Map   // nil if there is none
	Mount   string // wins over the map's; "" = the map's, else DefaultMount
	Account string // of what the map does not name, wins over the map's
	Role    string // of every resource, whatever the map says

	mu      sync.Mutex // guards what follows; held across the reads of the roles
	known   bool       // they were read once
	roles   []role
	refused *vaultclient.Error               // the policy lacks them
	until   time.Time                        // when they are read again
	lacking map[vaultclient.Target]time.Time // roles that an account does not have, until when
}

// role is a role of the mount, and what its scopes are of.
type role struct {
	name      string
	resources []string // by ResourceOf
}

// Choice is the token that a resource means.
type Choice struct {
	vaultclient.Target

	// Assumed says that nobody named the token for this resource: it is the default token, and may
	// only be given if its scopes are the resource's.
	Assumed bool

	// ByScopes says that the role was found by its scopes. The account may not have it.
	ByScopes bool

	why error // why no role was found, for the message
}

// Default is the token of what is asked for without a resource.
func (r *Resolver) Default() (vaultclient.Target, error) {
	target := vaultclient.Target{Mount: vaultclient.DefaultMount}
	if r.Map != nil {
		target, _ = r.Map.Default()
	}
	if r.Mount != "" {
		target.Mount = r.Mount
	}
	if r.Account != "" {
		target.Account = r.Account
	}
	target.Role = r.Role
	switch {
	case target.Account == "" && r.Map != nil:
		return target, fmt.Errorf("the map %s names no account for what it does not name, and "+
			"there is no -account", r.Map.File)
	case target.Account == "":
		return target, errors.New("which account? Give -account or -map, or set " +
			"VAULT_ENTRA_ACCOUNT or VAULT_ENTRA_MAP")
	}
	return target, nil
}

// Resource is the token of a resource, by one of its usual forms.
func (r *Resolver) Resource(ctx context.Context, resource string) (Choice, error) {
	if Canonical(resource) == "" {
		return Choice{}, errors.New("no resource is named")
	}
	if r.Role != "" {
		target, err := r.Default()
		return Choice{Target: target}, err
	}
	if r.Map != nil {
		if target, named := r.Map.Resource(resource); named {
			return Choice{Target: r.override(target)}, nil
		}
		target, err := r.Default()
		if err != nil {
			return Choice{}, fmt.Errorf("no token is mapped to %s: %w (mapped are %s)", resource,
				err, orNone(r.Map.Resources()))
		}
		return Choice{Target: target, Assumed: true}, nil
	}
	target, err := r.Default()
	if err != nil {
		return Choice{}, err
	}
	return r.byRoles(ctx, target, resource)
}

// Git is the token for a git host, false if the map does not name it.
func (r *Resolver) Git(host string) (vaultclient.Target, bool) {
	if r.Map == nil {
		return vaultclient.Target{}, false
	}
	target, named := r.Map.Git(host)
	return r.override(target), named
}

// Targets are the tokens that the map names, as the command line changes them.
func (r *Resolver) Targets() []vaultclient.Target {
	if r.Map == nil {
		return nil
	}
	targets := r.Map.Targets()
	for i := range targets {
		targets[i] = r.override(targets[i])
	}
	return targets
}

// Registry is the token for a container registry, false if the map does not name it.
func (r *Resolver) Registry(host string) (vaultclient.Target, bool) {
	if r.Map == nil {
		return vaultclient.Target{}, false
	}
	target, named := r.Map.Registry(host)
	return r.override(target), named
}

// override puts what the command line says into a token of the map's: mount and role, and the
// account where the map names none.
func (r *Resolver) override(target vaultclient.Target) vaultclient.Target {
	if r.Mount != "" {
		target.Mount = r.Mount
	}
	if target.Account == "" {
		target.Account = r.Account
	}
	if r.Role != "" {
		target.Role = r.Role
	}
	return target
}

// byRoles finds the role whose scopes are the resource's, else assumes the default token.
func (r *Resolver) byRoles(ctx context.Context, target vaultclient.Target,
	resource string) (Choice, error) {
	roles, refused, err := r.mountRoles(ctx, target.Mount)
	switch {
	case err != nil:
		return Choice{}, err
	case refused != nil:
		return Choice{Target: target, Assumed: true, why: refused}, nil
	}
	wanted := Canonical(resource)
	var found []string
	for _, role := range roles {
		if slices.ContainsFunc(role.resources, func(of string) bool {
			return of == wanted || isGraph(of) && isGraph(wanted)
		}) {
			found = append(found, role.name)
		}
	}
	switch len(found) {
	case 0:
		return Choice{Target: target, Assumed: true}, nil
	case 1:
		target.Role = found[0]
		if r.lacks(target) {
			return Choice{Target: withoutRole(target), Assumed: true}, nil
		}
		return Choice{Target: target, ByScopes: true}, nil
	}
	return Choice{}, fmt.Errorf("the roles %s are all of %s: name one by -role or in a map",
		strings.Join(found, ", "), resource)
}

// Instead is the choice after that of a role which the account does not have: its default token.
func (c Choice) Instead() Choice { return Choice{Target: withoutRole(c.Target), Assumed: true} }

// Remember makes the resolver go by the default token for a while, so that a role which the account
// does not have is not asked for in each call.
func (r *Resolver) Remember(lacking Choice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lacking == nil {
		r.lacking = map[vaultclient.Target]time.Time{}
	}
	r.lacking[lacking.Target] = time.Now().Add(lackKept)
}

// lacks reports whether the account turned out not to have a role.
func (r *Resolver) lacks(target vaultclient.Target) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Now().Before(r.lacking[target])
}

// withoutRole is the default token of the same account.
func withoutRole(target vaultclient.Target) vaultclient.Target {
	target.Role = ""
	return target
}

// mountRoles gives the roles of the mount as they were read a moment ago, or why the policy does
// not show them. While Vault is in trouble, what was read before counts.
func (r *Resolver) mountRoles(ctx context.Context, mount string) ([]role, *vaultclient.Error,
	error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Now().Before(r.until) {
		return r.roles, r.refused, nil
	}
	roles, err := r.readRoles(ctx, mount)
	var trouble *vaultclient.Error
	errors.As(err, &trouble)
	switch {
	case err == nil:
		r.roles, r.refused, r.until = roles, nil, time.Now().Add(rolesKept)
	case trouble != nil && trouble.Class == vaultclient.Forbidden:
		r.roles, r.refused, r.until = nil, trouble, time.Now().Add(rolesKept)
	case trouble != nil && trouble.Passing() && r.known:
		r.until = time.Now().Add(rolesRetry)
	default:
		return nil, nil, err
	}
	r.known = true
	return r.roles, r.refused, nil
}

func (r *Resolver) readRoles(ctx context.Context, mount string) ([]role, error) {
	names, err := r.Vault.List(ctx, mount+"/roles")
	if err != nil {
		return nil, err
	}
	var roles []role
	for _, name := range names {
		secret, err := r.Vault.Read(ctx, mount+"/roles/"+name)
		if err != nil {
			return nil, err
		}
		found := role{name: name}
		for _, scope := range vaultclient.Strings(secret, "scopes") {
			if resource := ResourceOf(scope); resource != "" {
				found.resources = append(found.resources, resource)
			}
		}
		roles = append(roles, found)
	}
	return roles, nil
}

// Check refuses a token that was assumed to be of a resource and is not: what is sent to a service
// must not be good for another.
func (c Choice) Check(token *vaultclient.Token, resource string) error {
	if !c.Assumed || Granted(token.Scope, resource) {
		return nil
	}
	text := fmt.Sprintf("no role is known for %s, and %s is no token for it (its scopes are %s)",
		resource, c.Path(), token.Scope)
	if c.why != nil {
		text += "; roles could not be looked at: " + c.why.Error() +
			fmt.Sprintf(", and the same with [\"read\"] on %s/roles/*", c.Mount)
	}
	return errors.New(text + ". Name a role by -role, or the resource in a map")
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
