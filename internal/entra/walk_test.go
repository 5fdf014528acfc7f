// SPDX-License-Identifier: MPL-2.0

package entra_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

const redirectURI = "https://vault.example.com/v1/entra/callback"

// walk is a client of the simulator's confidential app, with changes.
func walk(t *testing.T, srv *entratest.Server, change func(*entra.Config)) *entra.Client {
	t.Helper()
	cfg := entra.Config{AuthorityURL: srv.Authority(), CAPEM: srv.CAPEM(),
		ClientID: srv.App.ClientID, ClientSecret: entra.Secret(srv.App.Secret())}
	if change != nil {
		change(&cfg)
	}
	c, err := entra.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// attempt is one login up to the redirect: the request that redeems its code.
func attempt(t *testing.T, srv *entratest.Server, c *entra.Client, user string,
	scopes ...string) entra.CodeRequest {
	t.Helper()
	return attemptAt(t, srv, c, "", user, scopes...)
}

// attemptAt is the same at another authorization endpoint than the client's; "" = the client's.
func attemptAt(t *testing.T, srv *entratest.Server, c *entra.Client, endpoint, user string,
	scopes ...string) entra.CodeRequest {
	t.Helper()
	verifier, nonce, state := entra.Secret(entra.NewRandom()), entra.NewRandom(), entra.NewRandom()
	authURL, err := c.AuthorizeURL(t.Context(), entra.AuthorizeRequest{
		RedirectURI: redirectURI, ResponseMode: "form_post", State: state, Nonce: nonce,
		Verifier: verifier, Scopes: scopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	if own, query, _ := strings.Cut(authURL, "?"); endpoint != "" && own != endpoint {
		authURL = endpoint + "?" + query
	}
	redirect, err := srv.SignIn(t.Context(), authURL, user)
	if err != nil {
		t.Fatal(err)
	}
	if redirect.Params.Get("state") != state || redirect.URI != redirectURI ||
		redirect.Method != "POST" {
		t.Fatalf("redirected to %+v", redirect)
	}
	return entra.CodeRequest{
		Code: entra.Secret(
			redirect.Params.Get("code"),
		), Verifier: verifier, Nonce: entra.Secret(nonce), RedirectURI: redirectURI, Scopes: scopes,
	}
}

func signIn(t *testing.T, srv *entratest.Server, c *entra.Client, user string,
	scopes ...string) *entra.SignIn {
	t.Helper()
	in, err := c.RedeemCode(t.Context(), attempt(t, srv, c, user, scopes...))
	if err != nil {
		t.Fatal(err)
	}
	return in
}

// wantError says that an attempt ends in this class, and in this AADSTS number.
func wantError(t *testing.T, what string, err error, class entra.Class, number int) {
	t.Helper()
	var e *entra.Error
	if !errors.As(err, &e) || e.Class != class || e.AADSTS != number {
		t.Errorf("%s: %v, want %s AADSTS%d", what, err, class, number)
	}
}

// TestWalk is a sign-in and what lives on of it: tokens for two resources from one refresh token.
func TestWalk(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, nil)
	if err := c.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	in := signIn(t, srv, c, "alice", "User.Read", "Mail.Read")
	alice, _ := srv.User("alice")
	want := entra.Identity{
		Issuer: srv.Authority(), Subject: in.User.Subject, TenantID: srv.Tenant(),
		ObjectID: alice.ObjectID,
		Username: "alice@contoso.example", PreferredUsername: "alice@contoso.example",
		Name: alice.Name,
	}
	if in.User != want || in.User.Subject == "" || in.Tokens.RefreshToken == "" ||
		len(
			entra.Missing([]string{"User.Read", "Mail.Read"}, strings.Fields(in.Tokens.Scope)),
		) != 0 {
		t.Errorf("signed in %+v with %+v", in.User, in.Tokens)
	}
	if token, live := srv.Introspect(in.Tokens.AccessToken.Reveal()); !live ||
		token.Username != "alice@contoso.example" ||
		in.Tokens.Obtained.Before(before.Add(-time.Second)) ||
		in.Tokens.Expiry.After(token.Expires.Add(time.Second)) {
		t.Errorf("the token is %+v, and believed to live until %s", token, in.Tokens.Expiry)
	}

	refresh := in.Tokens.RefreshToken
	for _, scope := range []string{"User.Read", "https://graph.microsoft.com/.default"} {
		tokens, err := c.Refresh(t.Context(),
			entra.RefreshRequest{RefreshToken: refresh, Scopes: []string{scope}, User: in.User})
		if err != nil || tokens.RefreshToken == "" || tokens.RefreshToken == refresh {
			t.Fatalf("%s: %+v, %v", scope, tokens, err)
		}
		if token, live := srv.Introspect(tokens.AccessToken.Reveal()); !live ||
			token.ObjectID != alice.ObjectID {
			t.Errorf("%s: the token is %+v", scope, token)
		}
		refresh = tokens.RefreshToken
	}
	counts := srv.Count(entratest.Match{Endpoint: entratest.Discovery})
	if keys := srv.Count(entratest.Match{Endpoint: entratest.Keys}); counts != 2 && counts != 1 ||
		keys != 1 {
		t.Errorf("%d fetches of discovery, %d of keys", counts, keys)
	}
	_, err := c.Refresh(
		t.Context(),
		entra.RefreshRequest{RefreshToken: refresh,
			Scopes: []string{"https://management.azure.com//.default"}, User: in.User},
	)
	wantError(t, "a resource without consent", err, entra.ClassResource, 65001)
	imported, err := c.RedeemRefreshToken(t.Context(),
		entra.RefreshRequest{RefreshToken: refresh, Scopes: []string{"User.Read"}})
	if err != nil || !imported.User.Is(in.User) {
		t.Errorf("imported %+v, %v", imported, err)
	}
}

// TestWalkRefusals checks what the simulator, strict as Entra, finds wrong with a code.
func TestWalkRefusals(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, nil)
	request := attempt(t, srv, c, "alice", "User.Read")
	wrong := request
	wrong.Verifier = entra.Secret(entra.NewRandom())
	_, err := c.RedeemCode(t.Context(), wrong)
	wantError(t, "another verifier", err, entra.ClassSignIn, 501481)
	request = attempt(t, srv, c, "alice", "User.Read")
	if _, err = c.RedeemCode(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	_, err = c.RedeemCode(t.Context(), request)
	wantError(t, "a code again", err, entra.ClassSignIn, 54005)

	secret := entra.Secret("wrong-secret-that-must-not-show")
	_, err = walk(t, srv, func(cfg *entra.Config) { cfg.ClientSecret = secret }).RedeemCode(
		t.Context(), attempt(t, srv, c, "alice", "User.Read"))
	wantError(t, "a wrong secret", err, entra.ClassClient, 7000215)
	if strings.Contains(err.Error(), secret.Reveal()) {
		t.Errorf("the secret is shown: %v", err)
	}
	_, err = walk(t, srv, func(cfg *entra.Config) { cfg.ClientSecret = "" }).RedeemCode(t.Context(),
		attempt(t, srv, c, "alice", "User.Read"))
	wantError(t, "no secret", err, entra.ClassClient, 7000218)

	cancelled, err := c.AuthorizeURL(
		t.Context(),
		entra.AuthorizeRequest{RedirectURI: redirectURI, State: "s", Nonce: "n",
			Verifier: entra.Secret(entra.NewRandom()), Scopes: []string{"User.Read"}},
	)
	if err != nil {
		t.Fatal(err)
	}
	redirect, err := srv.Cancel(t.Context(), cancelled)
	if err != nil {
		t.Fatal(err)
	}
	say := func(v url.Values) *entra.Error {
		return entra.AuthorizeError(v.Get("error"), v.Get("error_description"),
			v.Get("error_subcode"))
	}
	if e := say(redirect.Params); e.Class != entra.ClassSignIn || e.Code != "access_denied" ||
		e.Suberror != "cancel" {
		t.Errorf("cancelled: %+v", e)
	}
}

// TestWalkUserStates checks that what befalls a user reaches the caller as the right class.
func TestWalkUserStates(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, nil)
	in := signIn(t, srv, c, "alice", "User.Read")
	for state, want := range map[entratest.UserState]struct {
		class  entra.Class
		number int
	}{
		entratest.StateRevoked:         {entra.ClassUser, 50173},
		entratest.StatePasswordExpired: {entra.ClassUser, 50055},
		entratest.StateSignInFrequency: {entra.ClassUser, 70043},
		entratest.StateMFARequired:     {entra.ClassResource, 50076},
		entratest.StateBlocked:         {entra.ClassBlocked, 53003},
		entratest.StateDisabled:        {entra.ClassBlocked, 50057},
		entratest.StateDeleted:         {entra.ClassBlocked, 50034},
	} {
		if err := srv.SetUserState("alice", state); err != nil {
			t.Fatal(err)
		}
		_, err := c.Refresh(
			t.Context(),
			entra.RefreshRequest{RefreshToken: in.Tokens.RefreshToken,
				Scopes: []string{"User.Read"}, User: in.User},
		)
		wantError(t, string(state), err, want.class, want.number)
		if err := srv.SetUserState("alice", entratest.StateActive); err != nil {
			t.Fatal(err)
		}
		in = signIn(t, srv, c, "alice", "User.Read")
	}
}

// TestWalkKeyRollover checks new keys beside the old ones, and new keys instead of them.
func TestWalkKeyRollover(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, nil)
	fetches := func() int { return srv.Count(entratest.Match{Endpoint: entratest.Keys}) }
	signIn(t, srv, c, "alice", "User.Read")
	for i, rollOver := range []func(){srv.RotateKeys, srv.ReplaceKeys} {
		rollOver()
		signIn(t, srv, c, "alice", "User.Read")
		signIn(t, srv, c, "bob", "User.Read")
		if n := fetches(); n != i+2 {
			t.Errorf("%d fetches of keys after %d rollovers", n, i+1)
		}
	}
}

// TestWalkIDTokenFaults checks that every way the simulator can spoil an ID token ends the sign-in,
// and gives no tokens.
func TestWalkIDTokenFaults(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	for _, kind := range []entratest.IDTokenKind{
		entratest.IDWrongSignature, entratest.IDUnknownKey, entratest.IDAlgNone,
		entratest.IDAlgHS256, entratest.IDWrongAudience, entratest.IDWrongNonce,
		entratest.IDNoNonce,
		entratest.IDWrongIssuer, entratest.IDWrongTenant, entratest.IDTenantNoGUID,
		entratest.IDExpired, entratest.IDNotYetValid, entratest.IDGarbage,
	} {
		t.Run(string(kind), func(t *testing.T) {
			c := walk(t, srv, func(cfg *entra.Config) { cfg.TenantID = srv.Tenant() })
			request := attempt(t, srv, c, "alice", "User.Read")
			id := srv.Faults.Add(
				entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, Times: 1,
					IDToken: &entratest.IDTokenFault{Kind: kind}},
			)
			in, err := c.RedeemCode(t.Context(), request)
			wantError(t, "the sign-in", err, entra.ClassSignIn, 0)
			if in != nil || srv.Faults.Fired(id) != 1 {
				t.Errorf("answered %+v, with %d faults", in, srv.Faults.Fired(id))
			}
		})
	}
	c := walk(t, srv, nil)
	in := signIn(t, srv, c, "alice", "User.Read")
	srv.Faults.Add(
		entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token}, Times: 1,
			IDToken: &entratest.IDTokenFault{Kind: entratest.IDOtherUser}},
	)
	tokens, err := c.Refresh(
		t.Context(),
		entra.RefreshRequest{RefreshToken: in.Tokens.RefreshToken, Scopes: []string{"User.Read"},
			User: in.User},
	)
	wantError(t, "a refresh for another user", err, entra.ClassSignIn, 0)
	if tokens != nil {
		t.Errorf("and tokens came: %+v", tokens)
	}
}

// TestWalkKeysDown checks that the code is still good when the keys are back.
func TestWalkKeysDown(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, nil)
	request := attempt(t, srv, c, "alice", "User.Read")
	srv.Faults.Add(
		entratest.Fault{Match: entratest.Match{Endpoint: entratest.Keys}, Times: 1, Status: 503})
	_, err := c.RedeemCode(t.Context(), request)
	wantError(t, "without keys", err, entra.ClassTransient, 0)
	if n := srv.Count(entratest.Match{Endpoint: entratest.Token}); n != 0 {
		t.Fatalf("the code was spent: %d requests", n)
	}
	if _, err := walk(t, srv, nil).RedeemCode(t.Context(), request); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// newCertificate is a certificate as it is registered, and with its key.
func newCertificate(t *testing.T) (certPEM string, cert *entra.Certificate) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1),
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	cert, err = entra.ParseCertificate(certPEM,
		entra.Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	if err != nil {
		t.Fatal(err)
	}
	return certPEM, cert
}

// TestWalkCertificate checks that the simulator checks a client assertion as Entra does.
func TestWalkCertificate(t *testing.T) {
	certPEM, cert := newCertificate(t)
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, func(cfg *entra.Config) { cfg.ClientSecret, cfg.Certificate = "", cert })
	_, err := c.RedeemCode(t.Context(), attempt(t, srv, c, "alice", "User.Read"))
	wantError(t, "a certificate that is not registered", err, entra.ClassClient, 700027)
	if err := srv.UpdateApp(srv.App.ClientID,
		func(app *entratest.App) { app.Certificates = []string{certPEM} }); err != nil {
		t.Fatal(err)
	}
	in := signIn(t, srv, c, "alice", "User.Read")
	if _, err := c.Refresh(t.Context(),
		entra.RefreshRequest{RefreshToken: in.Tokens.RefreshToken, Scopes: []string{"User.Read"},
			User: in.User}); err != nil {
		t.Errorf("the refresh: %v", err)
	}
}

// TestWalkCapabilities checks that cp1 reaches the token, at the code and at each refresh.
func TestWalkCapabilities(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	c := walk(t, srv, func(cfg *entra.Config) { cfg.Capabilities = []string{"cp1"} })
	in := signIn(t, srv, c, "alice", "User.Read")
	tokens, err := c.Refresh(
		t.Context(),
		entra.RefreshRequest{RefreshToken: in.Tokens.RefreshToken, Scopes: []string{"User.Read"},
			Claims: `{"access_token":{"nbf":{"essential":true}}}`},
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []entra.Secret{in.Tokens.AccessToken, tokens.AccessToken} {
		if seen, live := srv.Introspect(token.Reveal()); !live || !seen.CAE {
			t.Errorf("the token is %+v", seen)
		}
	}
}

// TestWalkRotation checks that one request per refresh, and the new token works where the old one
// is refused, whoever rotates how.
func TestWalkRotation(t *testing.T) {
	for _, rotation := range []entratest.Rotation{entratest.RotateKeepOld,
		entratest.RotateRefuseOld, entratest.RotateRevokeFamily} {
		srv := entratest.Start(t, entratest.Options{Rotation: rotation})
		c := walk(t, srv, nil)
		in := signIn(t, srv, c, "alice", "User.Read")
		first := in.Tokens.RefreshToken
		for held, i := first, 1; i <= 3; i++ {
			tokens, err := c.Refresh(
				context.Background(),
				entra.RefreshRequest{RefreshToken: held, Scopes: []string{"User.Read"},
					User: in.User},
			)
			if err != nil {
				t.Fatalf("%s: %v", rotation, err)
			}
			if n := srv.Count(entratest.Match{Endpoint: entratest.Token,
				GrantType: "refresh_token"}); n != i {
				t.Errorf("%s: %d requests for %d refreshes", rotation, n, i)
			}
			held = tokens.RefreshToken
		}
		_, err := c.Refresh(t.Context(),
			entra.RefreshRequest{RefreshToken: first, Scopes: []string{"User.Read"}, User: in.User})
		if works := err == nil; works != (rotation == entratest.RotateKeepOld) {
			t.Errorf("%s: the first token again: %v", rotation, err)
		}
	}
}
