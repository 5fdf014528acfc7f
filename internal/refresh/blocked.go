// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"context"
	"fmt"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/config"
	"vault-plugin-secrets-entra/internal/lifecycle"
	"vault-plugin-secrets-entra/internal/problem"
)

// Blocked is what Refresh would answer for the account e without asking Entra, nil if it
// would ask. It changes nothing: of many whom a refusal of the client keeps waiting, it
// takes nobody's turn. What failed is known on the active node only.
func (r *Refresher) Blocked(ctx context.Context, reg *config.Registration, req TokenRequest, e *account.Entry) error {
	now := time.Now()
	if r.work.Stopping() {
		return lifecycle.ErrStopping
	}
	if err := mismatch(reg, req, e, now); err != nil {
		return err
	}
	if refused := r.backoff.blocked(e, req, false, now); refused != nil {
		return refused.Problem(req.Account, req.Role, e)
	}
	if b := r.calls.closed(now); b != nil {
		return b.problem(req.Account)
	}
	return r.checkRole(ctx, req, e)
}

// mismatch refuses a request whose account has a refresh token that cannot be used with
// this registration, or none.
func mismatch(reg *config.Registration, req TokenRequest, e *account.Entry, now time.Time) error {
	why := e.Mismatch(reg.Entry, now)
	if why == "" {
		return nil
	}
	return &problem.Error{
		Code:    problem.LoginRequired,
		Text:    fmt.Sprintf("account %q must sign in: %s", req.Account, why),
		Command: problem.LoginCommand(req.Account),
	}
}

// checkRole refuses a role that is one too many for the account, unless a role that it
// has is gone: a refresh drops that one first.
func (r *Refresher) checkRole(ctx context.Context, req TokenRequest, e *account.Entry) error {
	tooMany := e.CheckRole(req.Account, req.Role)
	if tooMany == nil {
		return nil
	}
	for _, role := range e.Roles {
		if stored, err := r.config.Roles.Get(ctx, role); err == nil && stored == nil {
			return nil
		}
	}
	return tooMany
}
