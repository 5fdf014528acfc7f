// SPDX-License-Identifier: MPL-2.0

package entra_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/entratest"
)

const (
	armDefault   = "https://management.azure.com//.default"
	armNamed     = "https://management.azure.com//user_impersonation"
	vaultNamed   = "https://vault.azure.net/user_impersonation"
	storageNamed = "https://storage.azure.com/user_impersonation"
	graphDefault = "https://graph.microsoft.com/.default"
)

// TestComposeScopes checks what goes into an authorization URL and what is left out of it, and that
// the strict simulator takes what is composed.
func TestComposeScopes(t *testing.T) {
	role := func(name string, scopes ...string) entra.ScopeSet {
		return entra.ScopeSet{Name: name, Scopes: scopes}
	}
	const (
		beside  = entra.LeftOutDefault
		with    = entra.LeftOutBesideDefault
		tooMany = entra.LeftOutResources
	)
	type left map[string]entra.LeftOutReason
	s := simulate(t, entratest.Options{})
	for name, test := range map[string]struct {
		base  []string
		roles []entra.ScopeSet
		want  []string
		left  left
	}{
		"nothing but the account's own": {[]string{"User.Read"}, nil, []string{"User.Read"}, nil},
		"the README's arm": {[]string{"User.Read"}, []entra.ScopeSet{role("arm", armDefault)},
			[]string{"User.Read"}, left{"arm": beside}},
		"a .default alone": {[]string{armDefault}, nil, []string{armDefault}, nil},
		"a .default and OpenID scopes": {[]string{"openid", armDefault}, nil,
			[]string{"openid", armDefault}, nil},
		"the same .default twice": {[]string{armDefault},
			[]entra.ScopeSet{role("arm", armDefault)}, []string{armDefault}, nil},
		"two .defaults": {[]string{graphDefault}, []entra.ScopeSet{role("arm", armDefault)},
			[]string{graphDefault}, left{"arm": beside}},
		"names beside the account's .default": {[]string{graphDefault},
			[]entra.ScopeSet{role("mail", "Mail.Read"), role("arm", armNamed)},
			[]string{graphDefault}, left{"mail": with, "arm": with}},
		"named scopes of several": {[]string{"User.Read"},
			[]entra.ScopeSet{role("mail", "Mail.Read", "User.Read"), role("arm", armNamed)},
			[]string{"User.Read", "Mail.Read", armNamed}, nil},
		"a fourth resource": {[]string{"User.Read"},
			[]entra.ScopeSet{role("arm", armNamed), role("vault", vaultNamed),
				role("storage", storageNamed), role("mail", "Mail.Read")},
			[]string{"User.Read", armNamed, vaultNamed, "Mail.Read"}, left{"storage": tooMany}},
		"roles alone, one a .default": {nil,
			[]entra.ScopeSet{role("arm", armDefault)}, []string{armDefault}, nil},
		"roles alone, the named go first": {nil,
			[]entra.ScopeSet{role("arm", armDefault), role("mail", "Mail.Read")},
			[]string{"Mail.Read"}, left{"arm": beside}},
	} {
		c := atCloud(t, s, nil)
		got, out := entra.Config{TenantID: s.Tenant()}.ComposeScopes(test.base, test.roles)
		if !slices.Equal(got, test.want) || len(out) != len(test.left) {
			t.Errorf("%s: %v, left out %v", name, got, out)
		}
		for _, one := range out {
			if test.left[one.Name] != one.Reason {
				t.Errorf("%s: %s is left out as %s", name, one.Name, one.Reason)
			}
		}
		if signIn, err := signInAt(t, s, c, "alice", func(r *entra.AuthorizeRequest) {
			r.Scopes = got
		}, got[len(got)-1]); err != nil || signIn.Tokens.AccessToken == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
	all := []string{"https://a.example/1", "https://b.example/2", "https://c.example/3"}
	other := entra.Config{AuthorityURL: "https://accounts.other.example"}
	if got, out := other.ComposeScopes([]string{"email"}, []entra.ScopeSet{
		role("a", all[0]), role("b", all[1]), role("c", all[2]), role("d", "https://d.example/4"),
	}); len(got) != 5 || out != nil {
		t.Errorf("another provider: %v, left out %v", got, out)
	}
}

// TestUncomposedScopes shows what Entra does to the README's login before scopes are composed.
func TestUncomposedScopes(t *testing.T) {
	s := simulate(t, entratest.Options{})
	authURL, err := atCloud(t, s, nil).AuthorizeURL(t.Context(), entra.AuthorizeRequest{
		RedirectURI: redirectURI, Verifier: entra.Secret(entra.NewRandom()),
		Scopes: []string{"User.Read", armDefault},
	})
	if err != nil {
		t.Fatal(err)
	}
	var page *entratest.PageError
	if _, err := s.SignIn(t.Context(), authURL, "alice"); !errors.As(err, &page) ||
		page.AADSTS != 70011 {
		t.Errorf("got %v", err)
	}
}

// TestCheckScopesOfAuthority checks which scopes may be configured where.
func TestCheckScopesOfAuthority(t *testing.T) {
	const (
		entraID  = ""
		google   = "https://accounts.google.example"
		external = "https://contoso.ciamlogin.com/contoso.onmicrosoft.com/v2.0"
	)
	for _, test := range []struct {
		authority, scopes string
		good              bool
	}{
		{entraID, "User.Read", true}, {entraID, "", false}, {entraID, "email", false},
		{entraID, "User.Read " + armNamed, false}, {entraID, "openid User.Read", true},
		{google, "email", true}, {google, "", true}, {google, "openid profile", true},
		{google, "https://mail.google.example/ https://www.google.example/auth/drive", true},
		{google, `a"b`, false},
		{external, "", true}, {external, "email openid", true},
		{external, "User.Read " + armNamed, false}, {external, "email User.Read", true},
	} {
		cfg := entra.Config{AuthorityURL: test.authority}
		if err := cfg.CheckScopes(strings.Fields(test.scopes)); (err == nil) != test.good {
			t.Errorf("%q at %q: %v", test.scopes, test.authority, err)
		}
	}
}

// TestByClientID checks which scopes of the application's own API have another form.
func TestByClientID(t *testing.T) {
	const id = "ac4de76e-07f3-4492-bdf5-1a14eaea26f8"
	for scope, want := range map[string]string{
		"api://" + id + "/Jobs.Run":             id + "/Jobs.Run",
		"API://" + strings.ToUpper(id) + "/x.y": strings.ToUpper(id) + "/x.y",
		id + "/Jobs.Run":                        "",
		"api://" + id + "/":                     "",
		"api://orders/Orders.Read":              "",
		"api://" + id + "0/Jobs.Run":            "",
	} {
		if got, own := entra.ByClientID(id, scope); got != want || own != (want != "") {
			t.Errorf("%s: %q, %t", scope, got, own)
		}
	}
	s := simulate(t, entratest.Options{})
	own := "api://" + s.App.ClientID + "/Jobs.Run"
	s.AddResource(entratest.Resource{AppID: s.App.ClientID, Scopes: []string{"Jobs.Run"},
		URIs: []string{"api://" + s.App.ClientID}, GUIDOnly: true})
	c := atCloud(t, s, nil)
	signIn, err := signInAt(t, s, c, "alice", nil, own)
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
	if err := refresh(own); !errors.As(err, &e) || e.AADSTS != 90009 || !e.AboutScopes() {
		t.Errorf("by its URI: %v", err)
	}
	cure, _ := entra.ByClientID(s.App.ClientID, own)
	if err := refresh(cure); err != nil {
		t.Errorf("by its GUID: %v", err)
	}
}

// TestCredentialOfTheGrant checks that a device code and what comes of it go without the client's
// credential, and that the same client refreshes a grant of Web with it.
func TestCredentialOfTheGrant(t *testing.T) {
	s := simulate(t, entratest.Options{})
	if err := s.UpdateApp(s.App.ClientID, func(app *entratest.App) {
		app.AllowPublicFlows = true
	}); err != nil {
		t.Fatal(err)
	}
	c := atCloud(t, s, nil)
	public := c.WithoutCredential()
	if !c.HasCredential() || public.HasCredential() {
		t.Error("which client has a credential?")
	}
	scopes := []string{"User.Read"}
	device, err := public.StartDevice(t.Context(), scopes)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ApproveDevice(t.Context(), device.UserCode, "alice"); err != nil {
		t.Fatal(err)
	}
	var e *entra.Error
	if _, err := c.PollDevice(t.Context(), device.Code, scopes); !errors.As(err, &e) ||
		e.AADSTS != 700025 || e.Class != entra.ClassClient || e.AboutClient() ||
		!e.AboutPlatform() {
		t.Errorf("a poll with the credential: %v", err)
	}
	signIn, err := public.PollDevice(t.Context(), device.Code, scopes)
	if err != nil {
		t.Fatal(err)
	}
	request := entra.RefreshRequest{RefreshToken: signIn.Tokens.RefreshToken, Scopes: scopes}
	if _, err := c.Refresh(t.Context(), request); !errors.As(err, &e) || e.AADSTS != 700025 ||
		e.Class != entra.ClassUser || e.AboutClient() {
		t.Errorf("a refresh with the credential: %v", err)
	}
	if _, err := public.Refresh(t.Context(), request); err != nil {
		t.Errorf("a refresh without it: %v", err)
	}
	web, err := signInAt(t, s, c, "bob", nil, scopes...)
	if err != nil {
		t.Fatal(err)
	}
	request.RefreshToken = web.Tokens.RefreshToken
	if _, err := c.Refresh(t.Context(), request); err != nil {
		t.Errorf("Web, with the credential: %v", err)
	}
	if _, err := public.Refresh(t.Context(), request); !errors.As(err, &e) || e.AADSTS != 7000218 ||
		e.Class != entra.ClassUser {
		t.Errorf("Web, without it: %v", err)
	}
}

// TestRefreshAfter checks that refresh_in of a long-lived token is told, and no other's.
func TestRefreshAfter(t *testing.T) {
	s := simulate(t, entratest.Options{})
	c := atCloud(t, s, nil)
	signIn, err := signInAt(t, s, c, "alice", nil, "User.Read")
	if err != nil {
		t.Fatal(err)
	}
	if !signIn.Tokens.RefreshAfter.IsZero() {
		t.Errorf("an hour's token is to be refreshed at %s", signIn.Tokens.RefreshAfter)
	}
	for _, test := range []struct {
		refreshIn any
		after     time.Duration
	}{
		{43200, 12 * time.Hour}, {"43200", 12 * time.Hour}, {0, 0}, {-1, 0}, {86400, 0},
		{"soon", 0},
	} {
		id := s.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Token},
			Set: map[string]any{"expires_in": 86400, "refresh_in": test.refreshIn}})
		tokens, err := c.Refresh(t.Context(), entra.RefreshRequest{
			RefreshToken: signIn.Tokens.RefreshToken, Scopes: []string{"User.Read"},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := time.Time{}
		if test.after != 0 {
			want = tokens.Obtained.Add(test.after)
		}
		if !tokens.RefreshAfter.Equal(want) {
			t.Errorf("%v: at %s, want %s", test.refreshIn, tokens.RefreshAfter, want)
		}
		s.Faults.Remove(id)
	}
}

// TestGuest checks that a guest is told from a member where the token says so.
func TestGuest(t *testing.T) {
	for _, optional := range [][]string{nil, {"acct"}} {
		s := simulate(t, entratest.Options{})
		if err := s.UpdateApp(s.App.ClientID, func(app *entratest.App) {
			app.OptionalClaims = optional
		}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddUser(entratest.User{
			Username: "gast@contoso.example", HomeTenantID: entratest.FabrikamTenantID,
		}); err != nil {
			t.Fatal(err)
		}
		c := atCloud(t, s, nil)
		for user, isGuest := range map[string]bool{"alice": false, "gast": true} {
			signIn, err := signInAt(t, s, c, user, nil, "User.Read")
			if err != nil || signIn.User.IsGuest() != isGuest {
				t.Errorf("%s, optional claims %v: %+v, %v", user, optional, signIn, err)
			}
		}
	}
	const tenant = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	for provider, isGuest := range map[string]bool{
		"": false, "live.com": true, "https://sts.windows.net/" + tenant + "/": false,
		"https://login.microsoftonline.com/" + tenant + "/v2.0": false, "mail": true,
	} {
		user := entra.Identity{TenantID: tenant, Provider: provider,
			Issuer: "https://login.microsoftonline.com/" + tenant + "/v2.0"}
		if user.IsGuest() != isGuest {
			t.Errorf("idp %q", provider)
		}
	}
}

// TestAllowsPrompt checks that create is External ID's.
func TestAllowsPrompt(t *testing.T) {
	entraID := entra.Config{TenantID: "contoso.example"}
	external := entra.Config{AuthorityURL: "https://contoso.ciamlogin.com/x/v2.0"}
	for _, prompt := range []string{"", "login", "none", "consent", "select_account"} {
		if !entraID.AllowsPrompt(prompt) || !external.AllowsPrompt(prompt) {
			t.Errorf("%q", prompt)
		}
	}
	if entraID.AllowsPrompt("create") || !external.AllowsPrompt("create") ||
		external.AllowsPrompt("other") {
		t.Error("create is External ID's")
	}
}

// TestAboutClient checks which refusals stop every request of a client, and which do not.
func TestAboutClient(t *testing.T) {
	for _, test := range []struct {
		code     string
		number   int
		mount    bool
		scopes   bool
		hardware bool
	}{
		{"invalid_client", 0, true, false, false},
		{"unauthorized_client", 0, true, false, false},
		{"invalid_client", 7000215, true, false, false},
		{"invalid_client", 7000222, true, false, false},
		{"unauthorized_client", 700016, true, false, false},
		{"invalid_request", 90002, true, false, false},
		{"invalid_client", 7654321, false, false, false}, // nobody knows what it is
		{"invalid_client", 700025, false, false, false},
		{"invalid_client", 7000218, false, false, false},
		{"invalid_client", 650052, false, true, false},
		{"invalid_scope", 70011, false, true, false},
		{"invalid_request", 9002313, false, false, false},
		{"unauthorized_client", 53005, false, false, false},
		{"invalid_grant", 53000, false, false, true},
		{"invalid_tenant", 0, false, false, false},
	} {
		description := ""
		if test.number != 0 {
			description = "AADSTS" + strconv.Itoa(test.number) + ": No."
		}
		e := entra.AuthorizeError(test.code, description, "")
		if e.AboutClient() != test.mount || e.AboutScopes() != test.scopes ||
			e.AboutDevice() != test.hardware {
			t.Errorf("%s %d (%s): client %t, scopes %t, device %t", test.code, test.number, e.Class,
				e.AboutClient(), e.AboutScopes(), e.AboutDevice())
		}
	}
}
