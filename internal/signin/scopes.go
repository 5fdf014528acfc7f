// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"slices"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// chooseScopes settles what a login is for.
func (s *SignIns) chooseScopes(ctx context.Context, req Request, v *visit, login *account.Login) (err error) {
	if login.Scopes, login.KeptScopes, err = req.scopes(v); err != nil {
		return err
	}
	login.Roles, login.Consent, err = s.consent(ctx, req, v, login.Scopes)
	return err
}

// scopes are those to ask for, and those to keep on the account: the request's own,
// else those an earlier login kept there, else the config's.
func (r Request) scopes(v *visit) (ask, keep []string, err error) {
	switch {
	case r.ScopesNamed && len(r.Scopes) > 0:
		if err := entra.CheckScopes(r.Scopes); err != nil {
			return nil, nil, problem.Invalid("scopes: %s", err)
		}
		return r.Scopes, r.Scopes, nil
	case !r.ScopesNamed && v.known != nil && len(v.known.Scopes) > 0:
		return v.known.Scopes, v.known.Scopes, nil
	default:
		return v.reg.Scopes, nil, nil
	}
}

// consent are the roles to consent to, and all scopes that this takes beside those of
// the default token: /authorize may ask for several resources at once.
func (s *SignIns) consent(ctx context.Context, req Request, v *visit, scopes []string) (roles, consent []string, err error) {
	roles = req.Roles
	if !req.RolesNamed && v.known != nil {
		roles = v.known.Roles
	}
	if len(roles) > account.MaxRoles {
		return nil, nil, problem.Invalid("roles: at most %d, got %d", account.MaxRoles, len(roles))
	}
	consent = slices.Clone(scopes)
	for _, name := range roles {
		role, err := s.config.Roles.Get(ctx, name)
		switch {
		case err != nil:
			return nil, nil, err
		case role == nil && req.RolesNamed:
			return nil, nil, problem.Invalid("roles: there is no role %q in this mount", name)
		case role == nil: // deleted since
			continue
		}
		for _, scope := range role.Scopes {
			if !slices.Contains(consent, scope) {
				consent = append(consent, scope)
			}
		}
	}
	return roles, consent, nil
}
