// SPDX-License-Identifier: MPL-2.0

package entra_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

// TestMonthsInABubble runs a code flow, refreshes hours apart, and a refresh token that has been
// idle for too long, without sockets and without waiting.
func TestMonthsInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := entratest.New(entratest.Options{})
		defer s.Close()
		c, err := entra.New(entra.Config{
			AuthorityURL: s.Authority(), Transport: s.Transport(),
			ClientID: s.App.ClientID, ClientSecret: entra.Secret(s.App.Secret()),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		verifier, nonce := entra.Secret(entra.NewRandom()), entra.NewRandom()
		authURL, err := c.AuthorizeURL(t.Context(), entra.AuthorizeRequest{
			RedirectURI: redirectURI, State: entra.NewRandom(), Nonce: nonce, Verifier: verifier,
			Scopes: []string{"User.Read"},
		})
		if err != nil {
			t.Fatal(err)
		}
		redirect, err := s.SignIn(t.Context(), authURL, "alice")
		if err != nil {
			t.Fatal(err)
		}
		signIn, err := c.RedeemCode(t.Context(), entra.CodeRequest{
			Code: entra.Secret(redirect.Params.Get("code")), Verifier: verifier,
			Nonce: entra.Secret(nonce), RedirectURI: redirectURI, Scopes: []string{"User.Read"},
		})
		if err != nil {
			t.Fatal(err)
		}
		if signIn.User.PreferredUsername != "alice@contoso.example" {
			t.Errorf("signed in: %+v", signIn.User)
		}
		tokens := signIn.Tokens
		for range 20 {
			time.Sleep(100 * time.Hour)
			if info, known := s.Introspect(tokens.AccessToken.Reveal()); !known || info.Active {
				t.Fatalf("after 100 hours the old token: known %t, %+v", known, info)
			}
			next, err := c.Refresh(t.Context(), entra.RefreshRequest{
				RefreshToken: tokens.RefreshToken, Scopes: []string{"User.Read"}, User: signIn.User,
			})
			if err != nil {
				t.Fatal(err)
			}
			if life := time.Until(next.Expiry); life < time.Hour || life > 90*time.Minute {
				t.Errorf("it lives %s", life)
			}
			tokens = *next
		}
		time.Sleep(90 * 24 * time.Hour)
		_, err = c.Refresh(t.Context(), entra.RefreshRequest{
			RefreshToken: tokens.RefreshToken, Scopes: []string{"User.Read"},
		})
		var e *entra.Error
		if !errors.As(err, &e) || e.AADSTS != 700082 || e.Class != entra.ClassUser {
			t.Errorf("after 90 idle days: %v", err)
		}
	})
}
