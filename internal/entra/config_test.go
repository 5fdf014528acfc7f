// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	good := Config{TenantID: testTenant, ClientID: testClient}
	for name, test := range map[string]struct {
		change func(*Config)
		field  string // "" = good
	}{
		"a GUID": {func(*Config) {}, ""},
		"a domain": {func(c *Config) { c.TenantID = "contoso.onmicrosoft.com" },
			""},
		"organizations": {func(c *Config) { c.TenantID = "organizations" }, ""},
		"no tenant":     {func(c *Config) { c.TenantID = "" }, "tenant_id"},
		"a path":        {func(c *Config) { c.TenantID = "a/b" }, "tenant_id"},
		"dots":          {func(c *Config) { c.TenantID = ".." }, "tenant_id"},
		"a word":        {func(c *Config) { c.TenantID = "contoso" }, "tenant_id"},
		"a very long domain": {func(c *Config) {
			c.TenantID = strings.Repeat("a.", 200) +
				"com"
		}, "tenant_id"},
		"no client":             {func(c *Config) { c.ClientID = "" }, "client_id"},
		"a client with a space": {func(c *Config) { c.ClientID = "a b" }, "client_id"},
		"the government's": {
			func(c *Config) { c.Environment = "AzureUSGovernmentCloud" }, ""},
		"an unknown environment": {func(c *Config) { c.Environment = "Azure" }, "environment"},
		"an authority": {func(c *Config) {
			c.TenantID, c.AuthorityURL = "",
				"https://login.example/x"
		}, ""},
		"loopback http": {
			func(c *Config) { c.AuthorityURL = "http://127.0.0.1:8080/x" }, ""},
		"loopback http, IPv6": {func(c *Config) { c.AuthorityURL = "http://[::1]:8080/x" },
			""},
		"http elsewhere": {
			func(c *Config) { c.AuthorityURL = "http://login.example/x" }, "authority_url"},
		"http, a loopback look-alike": {
			func(c *Config) { c.AuthorityURL = "http://localhost.evil.example/" }, "authority_url"},
		"a query": {
			func(c *Config) { c.AuthorityURL = "https://login.example/x?y" }, "authority_url"},
		"a password": {
			func(c *Config) { c.AuthorityURL = "https://u:p@login.example/x" }, "authority_url"},
		"the document itself": {
			func(c *Config) { c.AuthorityURL = "https://l.example/.well-known/x" },
			"authority_url"},
		"a domain beside it": {func(c *Config) {
			c.AuthorityURL,
				c.TenantID = "https://l.example/x", "contoso.example"
		}, "tenant_id"},
		"an issuer": {func(c *Config) { c.Issuer = "https://issuer.example/" },
			""},
		"an issuer with a query": {func(c *Config) { c.Issuer = "https://issuer.example/?x" },
			"issuer"},
		"an issuer that is no URL": {func(c *Config) { c.Issuer = "issuer" }, "issuer"},
		"a CA that is none":        {func(c *Config) { c.CAPEM = "x" }, "ca_pem"},
		"a CA of bad bytes": {
			func(c *Config) {
				c.CAPEM = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END " +
					"CERTIFICATE-----"
			}, "ca_pem"},
		"an own parameter": {
			func(c *Config) { c.AuthorizeParams = map[string]string{"prompt": "consent"} }, ""},
		"the engine's parameter": {
			func(c *Config) {
				c.AuthorizeParams = map[string]string{
					"code_challenge_method": "plain"}
			}, "authorize_params"},
		"the engine's, in capitals": {
			func(c *Config) { c.AuthorizeParams = map[string]string{"STATE": "x"} },
			"authorize_params"},
		"common, in capitals": {func(c *Config) { c.TenantID = "COMMON" }, ""},
		"an address":          {func(c *Config) { c.TenantID = "10.0.0.1" }, "tenant_id"},
		"a domain and a query": {func(c *Config) { c.TenantID = "contoso.example?x" },
			"tenant_id"},
		"a domain and a line": {func(c *Config) { c.TenantID = "contoso.example\n" },
			"tenant_id"},
		"a domain beginning with -": {func(c *Config) { c.TenantID = "-contoso.example" },
			"tenant_id"},
		"a GUID and more": {func(c *Config) { c.TenantID = testTenant + "0" },
			"tenant_id"},
		"a client with a line": {func(c *Config) { c.ClientID = "a\nb" }, "client_id"},
		"an authority with a slash": {
			func(c *Config) { c.AuthorityURL = "https://login.example/x/" }, ""},
		"a fragment": {
			func(c *Config) { c.AuthorityURL = "https://login.example/x#y" }, "authority_url"},
		"no host": {func(c *Config) { c.AuthorityURL = "https:///x" },
			"authority_url"},
		"another scheme": {
			func(c *Config) { c.AuthorityURL = "ldap://login.example/x" }, "authority_url"},
		"no scheme": {func(c *Config) { c.AuthorityURL = "login.example/x" },
			"authority_url"},
		"http at any address": {func(c *Config) { c.AuthorityURL = "http://0.0.0.0/x" },
			"authority_url"},
		"an issuer with a password": {
			func(c *Config) { c.Issuer = "https://u:p@issuer.example/" }, "issuer"},
		"an issuer of plain http": {func(c *Config) { c.Issuer = "http://issuer.example/" },
			"issuer"},
		"a key as CA": {
			func(c *Config) {
				c.CAPEM = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE " +
					"KEY-----"
			}, "ca_pem"},
		"a CA of blanks": {func(c *Config) { c.CAPEM = " \n" }, "ca_pem"},
		"a parameter without a name": {
			func(c *Config) { c.AuthorizeParams = map[string]string{" ": "x"} },
			"authorize_params"},
		"claims as parameter": {
			func(c *Config) { c.AuthorizeParams = map[string]string{"claims": "{}"} }, ""},
		"claims that are no object": {
			func(c *Config) { c.AuthorizeParams = map[string]string{"claims": "[]"} },
			"authorize_params"},
		"a capability": {func(c *Config) { c.Capabilities = []string{"cp1"} }, ""},
		"an empty capability": {func(c *Config) { c.Capabilities = []string{""} },
			"client_capabilities"},
		"a capability of two words": {func(c *Config) { c.Capabilities = []string{"cp1 cp2"} },
			"client_capabilities"},
		"a negative timeout": {func(c *Config) { c.RequestTimeout = -1 },
			"request_timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			err := cfg.Validate()
			var field *FieldError
			switch {
			case test.field == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.field != "" &&
				(!errors.As(err, &field) || field.Field != test.field ||
					!strings.HasPrefix(err.Error(), test.field+": ")):
				t.Errorf("answered %v", err)
			}
		})
	}
}

// TestEngineParams checks that none of what a login sets itself can be configured.
func TestEngineParams(t *testing.T) {
	for _, name := range strings.Fields(
		"client_id response_type redirect_uri scope state nonce code_challenge " +
			"code_challenge_method response_mode client_info") {
		_, err := New(
			Config{TenantID: testTenant, ClientID: testClient,
				AuthorizeParams: map[string]string{name: "x"}},
		)
		var field *FieldError
		if !errors.As(err, &field) || field.Field != "authorize_params" ||
			!strings.Contains(field.Problem, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAuthorizeURLOffline checks the clouds' URLs, which need no network.
func TestAuthorizeURLOffline(t *testing.T) {
	for _, environment := range Environments() {
		host := environmentHost(environment)
		c, err := New(
			Config{Environment: environment, TenantID: "contoso.example", ClientID: testClient,
				AuthorizeParams: map[string]string{"prompt": "consent", "domain_hint": "x"}},
		)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := c.AuthorizeURL(context.Background(), AuthorizeRequest{
			RedirectURI: "https://vault.example.com/cb", ResponseMode: "form_post",
			State: "the state", Nonce: "n",
			Verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
			Scopes:   []string{"User.Read", "openid"}, Prompt: "login",
		})
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(raw)
		if err != nil ||
			u.Scheme+"://"+u.Host != "https://"+host ||
			u.Path != "/contoso.example/oauth2/v2.0/authorize" {
			t.Errorf("%s: %s", environment, raw)
		}
		query := u.Query()
		for name, want := range map[string]string{
			"state": "the state", "prompt": "login", "domain_hint": "x",
			"scope": "User.Read openid profile offline_access", "code_challenge_method": "S256",
			"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", // RFC 7636, appendix B
		} {
			if query.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", environment, name, query.Get(name), want)
			}
		}
		if strings.Contains(raw, "dBjftJeZ4CVP") {
			t.Error("the verifier is in the URL")
		}
	}
}

// TestIssuerFits checks that a discovery document must speak for its own authority, but for
// what Entra does.
func TestIssuerFits(t *testing.T) {
	g := testTenant
	for _, test := range []struct {
		base, issuer string
		fits         bool
	}{
		{"https://op.example/x", "https://op.example/x", true},
		{"https://op.example/x", "https://op.example/x/", true},
		{"https://op.example/x", "https://op.example/y", false},
		{"https://op.example/x", "https://evil.example/x", false},
		{"https://op.example/x", "http://op.example/x", false},
		{"https://login.microsoftonline.com/contoso.com/v2.0",
			"https://login.microsoftonline.com/" + g + "/v2.0", true},
		{"https://login.microsoftonline.com/common/v2.0",
			"https://login.microsoftonline.com/{tenantid}/v2.0", true},
		{"https://login.microsoftonline.com/contoso.com", "https://sts.windows.net/" + g + "/",
			true},
		{"https://login.microsoftonline.com/contoso.com/v2.0",
			"https://evil.example/" + g + "/v2.0", false},
		{"https://c.ciamlogin.com/c.onmicrosoft.com/v2.0",
			"https://" + g + ".ciamlogin.com/" + g + "/v2.0", true},
		{"https://c.ciamlogin.com/c.onmicrosoft.com/v2.0", "https://evil.example/" + g + "/v2.0",
			false},
		{"https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_x/v2.0",
			"https://c.b2clogin.com/" + g + "/v2.0/", true},
		{"https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_x/v2.0",
			"https://c.b2clogin.com/tfp/" + g + "/b2c_1_x/v2.0/", true},
		{"https://c.b2clogin.com/c.onmicrosoft.com/B2C_1_x/v2.0",
			"https://d.b2clogin.com/" + g + "/v2.0/", false},
		{"https://c.ciamlogin.com/c.onmicrosoft.com/v2.0", "https://c.ciamlogin.com/" + g + "/v2.0",
			true},
		{"https://c.ciamlogin.com/c.onmicrosoft.com/v2.0", "https://d.ciamlogin.com/" + g + "/v2.0",
			false},
		{"https://c.ciamlogin.com/c.onmicrosoft.com/v2.0",
			"https://" + otherTenant + ".ciamlogin.com/" + g + "/v2.0", false},
		{"https://login.microsoftonline.com/" + g + "/v2.0",
			"https://login.microsoftonline.com/" + otherTenant + "/v2.0", false},
		{"https://login.microsoftonline.com/" + g + "/v2.0",
			"https://login.microsoftonline.com/{tenantid}/v2.0", false},
		{"https://login.microsoftonline.com/" + g, "https://sts.windows.net/" + g + "/", true},
		{"https://login.microsoftonline.com/" + g, "https://sts.windows.net/" + otherTenant + "/",
			false},
		{"https://op.example/realms/x", "https://op.example/" + g + "/x", false},
		{"https://op.example", "https://op.example/" + g, false},
		{"https://op.example/x", "https://u:p@op.example/x", false},
	} {
		if got := issuerFits(test.base, test.issuer); got != test.fits {
			t.Errorf("%s at %s: %v", test.issuer, test.base, got)
		}
	}
}

// TestVerify fetches discovery anew, and names what is wrong with it.
func TestVerify(t *testing.T) {
	p := newProvider(t)
	if err := p.client(nil).Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		member string
		value  any
		text   string
	}{
		"another issuer":    {"issuer", "https://evil.example/", "issuer is"},
		"no issuer":         {"issuer", "", "no issuer"},
		"no token endpoint": {"token_endpoint", "", "no token_endpoint"},
		"http": {"token_endpoint", "http://login.example/token",
			"token_endpoint must be"},
		"no keys":         {"jwks_uri", nil, "no jwks_uri"},
		"of another type": {"issuer", 7, "issuer is of the wrong type"},
	} {
		p := newProvider(t)
		p.document[test.member] = test.value
		err := p.client(nil).Verify(context.Background())
		var e *Error
		if !errors.As(err, &e) || e.NoAnswer() || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.down["/"+testTenant+"/v2.0/.well-known/openid-configuration"] = true
	var e *Error
	if err := p.client(nil).Verify(context.Background()); !errors.As(err, &e) || !e.NoAnswer() {
		t.Errorf("down: %v", err)
	}
}

// TestResponseIssuer is RFC 9207.
func TestResponseIssuer(t *testing.T) {
	for _, promised := range []bool{false, true} {
		p := newProvider(t)
		p.document["authorization_response_iss_parameter_supported"] = promised
		c := p.client(nil)
		for _, test := range []struct {
			iss      string
			required bool
			works    bool
		}{
			{p.issuer(testTenant), true, true},
			{p.issuer(testTenant), false, true},
			{"https://evil.example", false, false},
			{"", false, true},
			{"", true, !promised},
		} {
			if err := c.CheckResponseIssuer(context.Background(), test.iss,
				test.required); (err == nil) != test.works {
				t.Errorf("promised %v, iss %q, required %v: %v", promised, test.iss, test.required,
					err)
			}
		}
	}
}

func TestCheckScopes(t *testing.T) {
	for scopes, good := range map[string]bool{
		"User.Read": true, "User.Read Mail.Read openid": true,
		"https://graph.microsoft.com/User.Read Mail.Read":                 true,
		"https://graph.microsoft.com/.default":                            true,
		"https://management.azure.com//.default":                          true,
		"https://management.azure.com//user_impersonation offline_access": true,
		"api://x/a api://x/b":                                             true,
		"":                                                                false, "openid": false,
		"offline_access profile email":                         false,
		"User.Read https://vault.azure.net/user_impersonation": false,
		"https://graph.microsoft.com/.default User.Read":       false,
		"api://x/.default api://x/a":                           false, "api://x/a api://y/a": false,
		`User."Read"`: false,
		`a\b`:         false,
	} {
		if err := CheckScopes(strings.Fields(scopes)); (err == nil) != good {
			t.Errorf("%q: %v", scopes, err)
		}
	}
}

func TestMissing(t *testing.T) {
	for _, test := range []struct{ asked, granted, missing string }{
		{"User.Read", "User.Read profile openid email", ""},
		{"User.Read", "https://graph.microsoft.com/user.read", ""},
		{"https://graph.microsoft.us/User.Read", "User.Read", ""},
		{"User.Read Mail.Read", "User.Read", "Mail.Read"},
		{"openid profile offline_access https://x/.default", "", ""},
		{"api://x/a", "api://y/a", "api://x/a"},
	} {
		if got := strings.Join(Missing(strings.Fields(test.asked), strings.Fields(test.granted)),
			" "); got != test.missing {
			t.Errorf("of %q, granted %q, %q is missing", test.asked, test.granted, got)
		}
	}
}
