// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"vault-plugin-secrets-entra/internal/entratest"
)

// load fetches a document.
func (w *world) load(address string) *http.Response {
	w.t.Helper()
	resp, err := w.Client().Get(address)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

// TestDefaultStandsAlone checks that a .default goes with OpenID scopes and with nothing else, and
// that Entra says so on its own page.
func TestDefaultStandsAlone(t *testing.T) {
	w := start(t, entratest.Options{})
	const openID = "openid profile offline_access "
	for scope, refused := range map[string]int{
		openID + arm + "//.default":                                            0,
		openID + graph + "/.default":                                           0,
		openID + "User.Read " + arm + "//user_impersonation":                   0,
		openID + graph + "/.default " + graph + "/User.Read":                   70011,
		openID + "User.Read " + arm + "//.default":                             70011,
		openID + graph + "/.default " + arm + "//.default":                     70011,
		openID + arm + "//.default https://vault.azure.net/user_impersonation": 70011,
		openID + "User.Read " + arm + "//user_impersonation " +
			"https://vault.azure.net/user_impersonation": 0,
		openID + "User.Read " + arm + "//user_impersonation " +
			"https://vault.azure.net/user_impersonation " +
			"https://storage.azure.com/user_impersonation": 28004,
	} {
		if refused == 0 {
			w.code("alice", "scope", scope)
			continue
		}
		if page := w.pageError(w.authURL("scope", scope)); page.AADSTS != refused {
			t.Errorf("%s: %v", scope, page)
		}
	}
	a, err := w.send(t.Context(), "/"+w.Tenant()+"/oauth2/v2.0/devicecode",
		w.deviceForm("scope", "User.Read "+arm+"//.default"))
	if err != nil {
		t.Fatal(err)
	}
	a.refused(t, 400, "invalid_scope", 70011)
}

// TestChallengeWantsItsClaims checks that a policy which looks at the place of a request is met by
// a sign-in with the challenge's claims alone.
func TestChallengeWantsItsClaims(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	if err := w.SetUserState("alice", entratest.StateMFAByClaims); err != nil {
		t.Fatal(err)
	}
	challenge := w.refresh(token).refused(t, 400, "invalid_grant", 50076)
	if challenge.Suberror != "basic_action" || challenge.Claims == "" {
		t.Fatalf("no challenge: %s", challenge.Body)
	}
	w.redeem(w.code("alice")).refused(t, 400, "invalid_grant", 50076)
	other := `{"access_token":{"capolids":{"values":["another"]}}}`
	w.redeem(w.code("alice", "claims", other)).refused(t, 400, "invalid_grant", 50076)
	good := w.redeem(w.code("alice", "claims", challenge.Claims)).good(t)
	w.refresh(good.RefreshToken).good(t)
	w.refresh(token).refused(t, 400, "invalid_grant", 50076)
}

// TestDecline checks the two ways of saying no: the sign-in page's has a subcode.
func TestDecline(t *testing.T) {
	w := start(t, entratest.Options{})
	redirect, err := w.Cancel(t.Context(), w.authURL())
	if err != nil || redirect.Params.Get("error") != "access_denied" ||
		redirect.Params.Get("error_subcode") != "cancel" {
		t.Errorf("the sign-in page: %v, %v", redirect.Params, err)
	}
	browser := w.NewBrowser()
	if _, err := browser.SignIn(t.Context(), w.authURL(), "alice"); err != nil {
		t.Fatal(err)
	}
	redirect, err = browser.Cancel(t.Context(), w.authURL("prompt", "consent"))
	if err != nil || redirect.Params.Get("error") != "access_denied" ||
		redirect.Params.Has("error_subcode") ||
		!strings.HasPrefix(redirect.Params.Get("error_description"), "AADSTS65004: ") {
		t.Errorf("the consent page: %v, %v", redirect.Params, err)
	}
}

// TestPersonalConsent checks that a personal account's missing consent is 70000, and its refresh
// token good.
func TestPersonalConsent(t *testing.T) {
	w := start(t, entratest.Options{})
	authURL := atTenant(w.authURL(), w.Tenant(), "consumers")
	redirect, err := w.SignIn(t.Context(), authURL, "pat@outlook.example")
	if err != nil {
		t.Fatal(err)
	}
	send := func(form map[string][]string) answer {
		a, err := w.send(t.Context(), "/consumers/oauth2/v2.0/token", form)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first := send(w.codeForm(redirect.Params.Get("code"))).good(t)
	denied := send(w.refreshForm(first.RefreshToken, "scope", "Mail.Read offline_access"))
	denied.refused(t, 400, "invalid_grant", 70000)
	if !strings.Contains(denied.Description, "scopes requested are unauthorized or expired") {
		t.Errorf("it says %q", denied.Description)
	}
	send(w.refreshForm(first.RefreshToken)).good(t)
}

// TestOwnSigningKey checks that the key of an app with one is found by ?appid= and not without.
func TestOwnSigningKey(t *testing.T) {
	w := start(t, entratest.Options{})
	if err := w.UpdateApp(w.App.ClientID, func(app *entratest.App) {
		app.OwnSigningKey = true
	}); err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(w.signIn("alice").IDToken, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var token struct {
		Kid string `json:"kid"`
	}
	if err := json.Unmarshal(text, &token); err != nil {
		t.Fatal(err)
	}
	published := func(query string) bool {
		resp := w.load(w.Authority() + "/.well-known/openid-configuration" + query)
		defer resp.Body.Close()
		var doc struct {
			Keys string `json:"jwks_uri"`
		}
		decode(t, resp.Body, &doc)
		resp = w.load(doc.Keys)
		defer resp.Body.Close()
		var set struct {
			Keys []struct {
				Kid string `json:"kid"`
			} `json:"keys"`
		}
		decode(t, resp.Body, &set)
		return slices.ContainsFunc(set.Keys, func(key struct {
			Kid string `json:"kid"`
		}) bool {
			return key.Kid == token.Kid
		})
	}
	if published("") || published("?appid="+w.PublicApp.ClientID) {
		t.Error("everybody is told the app's own key")
	}
	if !published("?appid=" + w.App.ClientID) {
		t.Error("the app's own key is not published for it")
	}
}

// TestGuest checks that a guest's token names the provider, and acct where the app asks for it.
func TestGuest(t *testing.T) {
	w := start(t, entratest.Options{})
	if err := w.UpdateApp(w.App.ClientID, func(app *entratest.App) {
		app.OptionalClaims = []string{"acct"}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.AddUser(entratest.User{
		Username: "gast@contoso.example", HomeTenantID: entratest.FabrikamTenantID,
	}); err != nil {
		t.Fatal(err)
	}
	claims := func(user string) map[string]any {
		parts := strings.Split(w.signIn(user).IDToken, ".")
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		return claims
	}
	if guest := claims("gast"); guest["acct"] != 1.0 || guest["tid"] != w.Tenant() ||
		guest["idp"] != "https://sts.windows.net/"+entratest.FabrikamTenantID+"/" {
		t.Errorf("the guest: %v", guest)
	}
	if member := claims("alice"); member["acct"] != 0.0 || member["idp"] != nil {
		t.Errorf("the member: %v", member)
	}
}

// TestAssertionAlgs checks that a provider like AD FS names what it takes, and takes nothing else.
func TestAssertionAlgs(t *testing.T) {
	w := start(t, entratest.Options{AssertionAlgs: []string{"RS256"}})
	resp := w.load(w.Authority() + "/.well-known/openid-configuration")
	defer resp.Body.Close()
	var doc struct {
		Algorithms []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	}
	decode(t, resp.Body, &doc)
	if !slices.Equal(doc.Algorithms, []string{"RS256"}) {
		t.Errorf("discovery names %v", doc.Algorithms)
	}
	cert := newSigner(t)
	if err := w.UpdateApp(w.App.ClientID, func(app *entratest.App) {
		app.Certificates = []string{cert.pem()}
	}); err != nil {
		t.Fatal(err)
	}
	now := w.clock.Now()
	claims := map[string]any{
		"aud": w.URL + w.tokenPath(), "iss": w.App.ClientID, "sub": w.App.ClientID, "jti": "1",
		"nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	present := func(assertion string) answer {
		return w.redeem(w.code("alice"), "client_secret", "", "client_assertion", assertion,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	}
	present(cert.assertion(t, jose.PS256, "x5t#S256",
		cert.thumbprint(crypto.SHA256, base64.RawURLEncoding), claims)).
		refused(t, 401, "invalid_client", 700027)
	present(cert.assertion(t, jose.RS256, "x5t",
		cert.thumbprint(crypto.SHA1, base64.RawURLEncoding), claims)).good(t)
}

// TestAliases checks that an older host name's discovery names the cloud's own.
func TestAliases(t *testing.T) {
	s := entratest.New(entratest.Options{})
	defer s.Close()
	client := &http.Client{Transport: s.Transport()}
	for alias, host := range map[string]string{
		"login.windows.net":          "login.microsoftonline.com",
		"sts.windows.net":            "login.microsoftonline.com",
		"login.chinacloudapi.cn":     "login.partner.microsoftonline.cn",
		"login.usgovcloudapi.net":    "login.microsoftonline.us",
		"login.sovcloud-identity.fr": "login.sovcloud-identity.fr",
	} {
		resp, err := client.Get("https://" + alias + "/" + s.Tenant() +
			"/v2.0/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Issuer string `json:"issuer"`
			Token  string `json:"token_endpoint"`
		}
		decode(t, resp.Body, &doc)
		resp.Body.Close()
		if doc.Issuer != "https://"+host+"/"+s.Tenant()+"/v2.0" ||
			!strings.HasPrefix(doc.Token, "https://"+host+"/") {
			t.Errorf("%s: %+v", alias, doc)
		}
	}
}

// TestOwnAPIByGUID checks that a refresh for the app's own API may have to name it by the GUID.
func TestOwnAPIByGUID(t *testing.T) {
	w := start(t, entratest.Options{})
	id := w.App.ClientID
	w.AddResource(entratest.Resource{
		AppID: id, URIs: []string{"api://" + id}, Scopes: []string{"Jobs.Run"}, GUIDOnly: true,
	})
	scope := "openid offline_access api://" + id + "/Jobs.Run"
	first := w.redeem(w.code("alice", "scope", scope), "scope", scope).good(t)
	w.refresh(first.RefreshToken, "scope", scope).refused(t, 400, "invalid_request", 90009)
	w.refresh(first.RefreshToken, "scope", id+"/Jobs.Run").good(t)
}

// TestCreatePrompt checks that prompt=create is External ID's.
func TestCreatePrompt(t *testing.T) {
	w := start(t, entratest.Options{})
	external := strings.Replace(w.authURL("prompt", "create"), w.URL,
		"https://contoso.ciamlogin.com", 1)
	if redirect, err := w.SignIn(t.Context(), external, "alice"); err != nil ||
		redirect.Params.Get("code") == "" {
		t.Errorf("External ID: %v, %v", redirect.Params, err)
	}
	redirect, err := w.SignIn(t.Context(), w.authURL("prompt", "create"), "alice")
	if err != nil || redirect.Params.Get("error") != "invalid_request" {
		t.Errorf("Entra ID: %v, %v", redirect.Params, err)
	}
}

// TestAdminConsentForDefault checks that an administrator's consent is enough for a refresh of
// .default.
func TestAdminConsentForDefault(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	scope := arm + "//.default"
	w.refresh(token, "scope", scope).refused(t, 400, "invalid_grant", 65001)
	if err := w.AdminConsent(w.App.ClientID, arm); err != nil {
		t.Fatal(err)
	}
	w.refresh(token, "scope", scope).good(t)
	if err := w.AdminConsent("nobody", arm); err == nil {
		t.Error("an app that is not there was granted something")
	}
}
