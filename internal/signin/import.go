// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"context"
	"errors"
	"time"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// refusesCredential tells Entra's refusal of a credential beside a public client's token.
func refusesCredential(err error) bool {
	var e *entra.Error
	return errors.As(err, &e) && e.AADSTS == 700025
}

// Import takes over a refresh token from elsewhere: it is redeemed at once, on a
// context of its own, for a provider that rotates strictly has ended the token it was
// given. It returns the account and the scopes that were asked for.
func (s *SignIns) Import(ctx context.Context, req Request, token entra.Secret) (*account.Entry, []string, error) {
	if token == "" {
		return nil, nil, problem.Invalid("refresh_token: is required")
	}
	ctx, v, err := s.enter(ctx, req.Account, nil)
	if err != nil {
		return nil, nil, err
	}
	defer v.leave()
	scopes, kept, err := req.scopes(v)
	if err != nil {
		return nil, nil, err
	}
	ask := entra.RefreshRequest{RefreshToken: token, Scopes: scopes}
	signIn, err := v.reg.Client.RedeemRefreshToken(ctx, ask)
	clientAuth := account.WithCredential
	if !v.reg.Client.HasCredential() || refusesCredential(err) {
		clientAuth = account.WithoutCredential
	}
	if refusesCredential(err) { // and has not looked at the token
		signIn, err = account.Client(v.reg, clientAuth).RedeemRefreshToken(ctx, ask)
	}
	if err != nil {
		return nil, nil, s.refused(req.Account, v.reg, err)
	}
	if signIn.Tokens.RefreshToken == "" {
		signIn.Tokens.RefreshToken = token
	}
	e, err := s.store(ctx, req.Account, func(e *account.Entry, now time.Time) (*account.Entry, error) {
		if e == nil {
			e = account.NewEntry(now)
		}
		if p := e.CheckUser(req.Account, signIn.User, v.reg.Entry); p != nil {
			return nil, p
		}
		e.SignIn(signIn, scopes, v.reg.Entry, clientAuth, now)
		e.Scopes = kept
		e.LoginRequestedBy = req.RequestedBy.String()
		return e, nil
	})
	if err != nil {
		return nil, nil, err
	}
	s.log.Info("refresh token imported", "account", req.Account)
	return e, scopes, nil
}
