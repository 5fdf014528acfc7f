// SPDX-License-Identifier: MPL-2.0

package entra_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

// errand is a login that a process of its own finishes: net/http reads HTTPS_PROXY once, so only a
// new process obeys it.
type errand struct {
	Config struct{ Environment, TenantID, AuthorityURL, ClientID, CAPEM string }
	Secret entra.Secret
	Code   entra.CodeRequest

	Verify, Redeem, Refresh string // what went wrong; "" = nothing
	User                    entra.Identity
}

const errandVariable = "ENTRA_TEST_ERRANDS" // names the file that holds them

func TestMain(m *testing.M) {
	if file := os.Getenv(errandVariable); file != "" {
		if err := runErrands(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func runErrands(file string) error {
	var errands []*errand
	body, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(body, &errands)
	}
	if err != nil {
		return err
	}
	for _, e := range errands {
		e.run()
	}
	if body, err = json.Marshal(errands); err != nil {
		return err
	}
	return os.WriteFile(file, body, 0o600)
}

func (e *errand) config() entra.Config {
	return entra.Config{
		Environment: e.Config.Environment, TenantID: e.Config.TenantID,
		AuthorityURL: e.Config.AuthorityURL,
		ClientID:     e.Config.ClientID, CAPEM: e.Config.CAPEM, ClientSecret: e.Secret,
	}
}

func (e *errand) run() {
	word := func(err error) string {
		var known *entra.Error
		switch {
		case err == nil:
			return ""
		case errors.As(err, &known):
			return string(known.Class) + ": " + known.Error()
		}
		return err.Error()
	}
	c, err := entra.New(e.config())
	if err != nil {
		e.Verify = err.Error()
		return
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	e.Verify = word(c.Verify(ctx))
	in, err := c.RedeemCode(ctx, e.Code)
	if e.Redeem = word(err); err != nil {
		return
	}
	e.User = in.User
	_, err = c.Refresh(
		ctx,
		entra.RefreshRequest{RefreshToken: in.Tokens.RefreshToken, Scopes: e.Code.Scopes,
			User: in.User},
	)
	e.Refresh = word(err)
}

// TestRealHostNames signs in under Entra's own host names, over the proxy of the environment: each
// cloud, each kind of tenant, External ID and B2C.
func TestRealHostNames(t *testing.T) {
	srv := entratest.Start(t, entratest.Options{})
	if err := srv.UpdateApp(srv.App.ClientID,
		func(app *entratest.App) { app.MultiTenant = true }); err != nil {
		t.Fatal(err)
	}
	const commercial, personal, other = "https://login.microsoftonline.com/",
		entratest.PersonalTenantID, entratest.FabrikamTenantID
	tenant := srv.Tenant()
	cases := []struct {
		name                           string
		environment, tenant, authority string
		user                           string
		issuer                         string // "" = refused
	}{
		{"a GUID", "", tenant, "", "alice", commercial + tenant + "/v2.0"},
		{"a GUID in capitals", "", strings.ToUpper(tenant), "", "alice",
			commercial + tenant + "/v2.0"},
		{"a domain", "", "contoso.example", "", "alice", commercial + tenant + "/v2.0"},
		{"common", "", "common", "", "mallory@fabrikam.example", commercial + other + "/v2.0"},
		{"common, a personal account", "", "common", "", "pat@outlook.example",
			commercial + personal + "/v2.0"},
		{"organizations", "", "organizations", "", "alice", commercial + tenant + "/v2.0"},
		{"consumers", "", "consumers", "", "pat@outlook.example", commercial + personal + "/v2.0"},
		{"the government's cloud", "AzureUSGovernmentCloud", "contoso.example", "", "alice",
			"https://login.microsoftonline.us/" + tenant + "/v2.0"},
		{"the Chinese cloud", "AzureChinaCloud", tenant, "", "alice",
			"https://login.partner.microsoftonline.cn/" + tenant + "/v2.0"},
		{"External ID", "", "", "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0",
			"alice", "https://" + tenant + ".ciamlogin.com/" + tenant + "/v2.0"},
		{"B2C", "", tenant,
			"https://contoso.b2clogin.com/contoso.onmicrosoft.com/B2C_1_signin/v2.0", "alice",
			"https://contoso.b2clogin.com/" + tenant + "/v2.0/"},
	}
	var errands []*errand
	for _, test := range cases {
		e := &errand{Secret: entra.Secret(srv.App.Secret())}
		e.Config.Environment, e.Config.TenantID, e.Config.AuthorityURL = test.environment,
			test.tenant, test.authority
		e.Config.ClientID, e.Config.CAPEM = srv.App.ClientID, srv.CAPEM()
		cfg, endpoint := e.config(), ""
		// its authorization URL takes discovery, which this process has to make do without
		if test.authority != "" {
			cfg.AuthorityURL, cfg.TenantID = srv.Authority(), ""
			endpoint = strings.TrimSuffix(test.authority, "/v2.0") + "/oauth2/v2.0/authorize"
		}
		c, err := entra.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		e.Code = attemptAt(t, srv, c, endpoint, test.user, "User.Read")
		errands = append(errands, e)
	}

	proxy := srv.StartProxy(t)
	file := t.TempDir() + "/errands"
	body, err := json.Marshal(errands)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), errandVariable+"="+file, "HTTPS_PROXY="+proxy.URL,
		"https_proxy="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if output, err := child.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if body, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	errands = nil
	if err := json.Unmarshal(body, &errands); err != nil {
		t.Fatal(err)
	}
	for i, test := range cases {
		e := errands[i]
		if e.Verify+e.Redeem+e.Refresh != "" || e.User.Issuer != test.issuer ||
			!strings.HasPrefix(e.User.Username, strings.TrimSuffix(test.user, "@contoso.example")) {
			t.Errorf("%s: verify %q, code %q, refresh %q, user %+v", test.name, e.Verify, e.Redeem,
				e.Refresh, e.User)
		}
	}
	if len(proxy.Tunnels()) != 5 || len(proxy.Refused()) != 0 {
		t.Errorf("through the proxy: %v, refused: %v", proxy.Tunnels(), proxy.Refused())
	}
}
