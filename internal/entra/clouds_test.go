// SPDX-License-Identifier: MPL-2.0

package entra_test

import (
	"errors"
	"strings"
	"testing"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

// atCloud is a client at a cloud's own host names, which the simulator answers for.
func atCloud(t *testing.T, s *entratest.Simulator, change func(*entra.Config)) *entra.Client {
	t.Helper()
	cfg := entra.Config{
		TenantID: s.Tenant(), Transport: s.Transport(),
		ClientID: s.App.ClientID, ClientSecret: entra.Secret(s.App.Secret()),
	}
	if change != nil {
		change(&cfg)
	}
	c, err := entra.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func simulate(t *testing.T, opts entratest.Options) *entratest.Simulator {
	t.Helper()
	s := entratest.New(opts)
	t.Cleanup(s.Close)
	return s
}

// signInAt signs a user in by the code flow, with changes to the authorization request.
func signInAt(t *testing.T, s *entratest.Simulator, c *entra.Client, user string,
	change func(*entra.AuthorizeRequest), scopes ...string) (*entra.SignIn, error) {
	t.Helper()
	verifier, nonce := entra.Secret(entra.NewRandom()), entra.NewRandom()
	request := entra.AuthorizeRequest{
		RedirectURI: redirectURI, State: entra.NewRandom(), Nonce: nonce, Verifier: verifier,
		Scopes: scopes,
	}
	if change != nil {
		change(&request)
	}
	authURL, err := c.AuthorizeURL(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	redirect, err := s.SignIn(t.Context(), authURL, user)
	if err != nil {
		t.Fatal(err)
	}
	return c.RedeemCode(t.Context(), entra.CodeRequest{
		Code: entra.Secret(redirect.Params.Get("code")), Verifier: verifier,
		Nonce: entra.Secret(nonce), RedirectURI: redirectURI, Scopes: scopes,
	})
}

// TestAppsOwnKey checks that a token is verified which is signed with a key that stands only at
// ?appid= (an app with claims mapping or a SAML certificate), at each kind of Entra authority.
func TestAppsOwnKey(t *testing.T) {
	s := simulate(t, entratest.Options{})
	if err := s.UpdateApp(s.App.ClientID, func(app *entratest.App) {
		app.OwnSigningKey = true
	}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*entra.Config){
		"a GUID":        nil,
		"a domain":      func(cfg *entra.Config) { cfg.TenantID = "contoso.example" },
		"organizations": func(cfg *entra.Config) { cfg.TenantID = "organizations" },
		"an authority": func(cfg *entra.Config) {
			cfg.AuthorityURL = "https://login.microsoftonline.com/" + s.Tenant() + "/v2.0"
		},
	} {
		signIn, err := signInAt(t, s, atCloud(t, s, change), "alice", nil, "User.Read")
		if err != nil || signIn.User.PreferredUsername != "alice@contoso.example" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAliasAuthority checks a whole sign-in at an older name of a cloud.
func TestAliasAuthority(t *testing.T) {
	s := simulate(t, entratest.Options{})
	for _, alias := range []string{
		"login.windows.net", "sts.windows.net", "login.chinacloudapi.cn", "login.usgovcloudapi.net",
	} {
		c := atCloud(t, s, func(cfg *entra.Config) {
			cfg.AuthorityURL = "https://" + alias + "/" + s.Tenant() + "/v2.0"
		})
		if err := c.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", alias, err)
			continue
		}
		if _, err := signInAt(t, s, c, "alice", nil, "User.Read"); err != nil {
			t.Errorf("%s: %v", alias, err)
		}
	}
}

// TestAnchorMailbox checks that a refresh says whose it is, so that Entra finds the user's region.
func TestAnchorMailbox(t *testing.T) {
	s := simulate(t, entratest.Options{})
	c := atCloud(t, s, nil)
	signIn, err := signInAt(t, s, c, "alice", nil, "User.Read")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Refresh(t.Context(), entra.RefreshRequest{
		RefreshToken: signIn.Tokens.RefreshToken, Scopes: []string{"User.Read"}, User: signIn.User,
	}); err != nil {
		t.Fatal(err)
	}
	requests := s.Requests()
	want := "Oid:" + signIn.User.ObjectID + "@" + s.Tenant()
	if got := requests[len(requests)-1].AnchorMailbox; got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}

// TestPersonalAccountsRole checks that a personal account's missing consent is one resource's, and
// that the refresh token goes on working.
func TestPersonalAccountsRole(t *testing.T) {
	s := simulate(t, entratest.Options{})
	c := atCloud(t, s, func(cfg *entra.Config) { cfg.TenantID = "consumers" })
	signIn, err := signInAt(t, s, c, "pat@outlook.example", nil, "User.Read")
	if err != nil {
		t.Fatal(err)
	}
	refresh := func(scope string) error {
		_, err := c.Refresh(t.Context(), entra.RefreshRequest{
			RefreshToken: signIn.Tokens.RefreshToken, Scopes: []string{scope},
		})
		return err
	}
	var e *entra.Error
	if err := refresh("Mail.Read"); !errors.As(err, &e) || e.AADSTS != 70000 ||
		e.Class != entra.ClassResource {
		t.Errorf("Mail.Read: %v", err)
	}
	if err := refresh("User.Read"); err != nil {
		t.Errorf("User.Read: %v", err)
	}
}

// TestChallengeLoop checks that a challenge's claims, sent with the next sign-in, end it.
func TestChallengeLoop(t *testing.T) {
	s := simulate(t, entratest.Options{})
	c := atCloud(t, s, func(cfg *entra.Config) { cfg.Capabilities = []string{"cp1"} })
	if err := s.SetUserState("alice", entratest.StateMFAByClaims); err != nil {
		t.Fatal(err)
	}
	_, err := signInAt(t, s, c, "alice", nil, "User.Read")
	var e *entra.Error
	if !errors.As(err, &e) || e.AADSTS != 50076 || !strings.Contains(e.Claims, "capolids") {
		t.Fatalf("not challenged: %v", err)
	}
	if _, err := signInAt(t, s, c, "alice", func(request *entra.AuthorizeRequest) {
		request.Claims = e.Claims
	}, "User.Read"); err != nil {
		t.Errorf("with the challenge's claims: %v", err)
	}
}

// TestCertificateWhereRS256IsNamed checks that a provider which takes RS256 alone is sent that, and
// that it would have refused what Entra takes.
func TestCertificateWhereRS256IsNamed(t *testing.T) {
	for name, algorithms := range map[string][]string{
		"like AD FS": {"RS256"}, "PS256 alone": {"PS256"}, "like Entra": nil,
	} {
		s := simulate(t, entratest.Options{AssertionAlgs: algorithms})
		certPEM, cert := newCertificate(t)
		if err := s.UpdateApp(s.App.ClientID, func(app *entratest.App) {
			app.Certificates = []string{certPEM}
		}); err != nil {
			t.Fatal(err)
		}
		c := atCloud(t, s, func(cfg *entra.Config) {
			cfg.TenantID, cfg.AuthorityURL = "", s.Authority()
			cfg.ClientSecret, cfg.Certificate = "", cert
		})
		if _, err := signInAt(t, s, c, "alice", nil, "User.Read"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
