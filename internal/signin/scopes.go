// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"fmt"
	"strings"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// chooseScopes settles what a login is for.
func (s *SignIns) chooseScopes(ctx context.Context, req Request, v *visit, login *account.Login) (left []entra.LeftOut, err error) {
	if login.Scopes, login.KeptScopes, err = req.scopes(v); err != nil {
		return nil, err
	}
	login.Roles, login.Consent, left, err = s.consent(ctx, req, v, login.Scopes)
	return left, err
}

// scopes are those to ask for, and those to keep on the account: the request's own,
// else those an earlier login kept there, else the config's.
func (r Request) scopes(v *visit) (ask, keep []string, err error) {
	switch {
	case r.ScopesNamed && len(r.Scopes) > 0:
		if err := v.reg.CheckScopes(r.Scopes); err != nil {
			return nil, nil, problem.Invalid("scopes: %s", err)
		}
		return r.Scopes, r.Scopes, nil
	case !r.ScopesNamed && v.known != nil && len(v.known.Scopes) > 0:
		return v.known.Scopes, v.known.Scopes, nil
	default:
		return v.reg.Scopes, nil, nil
	}
}

// consent are the roles to consent to, and all scopes that the person is asked for: those of
// the default token and as many of the roles' as Entra takes in one request. left are the
// roles whose scopes are not among them.
func (s *SignIns) consent(ctx context.Context, req Request, v *visit, scopes []string) (roles, consent []string, left []entra.LeftOut, err error) {
	roles = req.Roles
	if !req.RolesNamed && v.known != nil {
		roles = v.known.Roles
	}
	if len(roles) > account.MaxRoles {
		return nil, nil, nil, problem.Invalid("roles: at most %d, got %d", account.MaxRoles, len(roles))
	}
	var sets []entra.ScopeSet
	for _, name := range roles {
		role, err := s.config.Roles.Get(ctx, name)
		switch {
		case err != nil:
			return nil, nil, nil, err
		case role == nil && req.RolesNamed:
			return nil, nil, nil, problem.Invalid("roles: there is no role %q in this mount", name)
		case role == nil: // deleted since
			continue
		}
		sets = append(sets, entra.ScopeSet{Name: name, Scopes: role.Scopes})
	}
	consent, left = v.reg.ComposeScopes(scopes, sets)
	return roles, consent, left, nil
}

// leftOutWarnings say which roles a sign-in does not ask for, and how they are consented to.
// A role that the request did not name and that has worked is left out without a word.
func leftOutWarnings(req Request, left []entra.LeftOut) []string {
	var warnings []string
	for _, l := range left {
		alone := fmt.Sprintf("an administrator consents to it for everybody, or sign in once for it "+
			"alone: vault write {mount}login/%s scopes=%s", req.Account, strings.Join(l.Scopes, ","))
		switch {
		case l.Reason == entra.LeftOutDefault && req.RolesNamed:
			warnings = append(warnings, fmt.Sprintf("role %q is not in this sign-in: Entra takes its "+
				"scope %s only by itself; %s", l.Name, l.Scopes[0], alone))
		case l.Reason == entra.LeftOutBesideDefault && req.RolesNamed:
			warnings = append(warnings, fmt.Sprintf("role %q is not in this sign-in, whose .default "+
				"scope stands alone at Entra; %s", l.Name, alone))
		case l.Reason == entra.LeftOutResources:
			warnings = append(warnings, fmt.Sprintf("role %q is not in this sign-in: Entra takes three "+
				"resources at most; %s", l.Name, alone))
		}
	}
	return warnings
}
