// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// refusedAs is the error of a refresh that the provider answers with a body.
func refusedAs(t *testing.T, status int, body string) *Error {
	t.Helper()
	p := newProvider(t)
	p.answer = func(url.Values) (int, http.Header, string) { return status, nil, body }
	_, err := p.client(nil).Refresh(t.Context(), RefreshRequest{
		RefreshToken: "the-refresh-token", Scopes: []string{"User.Read"},
	})
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("refreshed: %v", err)
	}
	return e
}

// testCertificate is a certificate of one of the signing keys.
func testCertificate(t *testing.T) *Certificate {
	t.Helper()
	key := signingKeys()[0]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ParseCertificate(
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		Secret(pem.EncodeToMemory(&pem.Block{
			Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key),
		})))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// jwtPart decodes a JWT's header (0) or payload (1) without a look at its signature.
func jwtPart(t *testing.T, token string, part int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[part])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

// TestRefusalsOfOneUser checks that what befalls one user or the scopes does not pass for the
// client's, whatever `error` says.
func TestRefusalsOfOneUser(t *testing.T) {
	for _, test := range []struct {
		code, suberror string
		number         int
		class          Class
	}{
		{"unauthorized_client", "protection_policy_required", 53005, ClassBlocked},
		{"unauthorized_client", "protection_policy_required", 0, ClassBlocked},
		{"unauthorized_client", "", 50053, ClassBlocked},
		{"invalid_client", "", 650051, ClassRequest},
		{"invalid_client", "", 650052, ClassRequest},
		{"invalid_client", "", 650053, ClassRequest},
		{"invalid_client", "", 65005, ClassRequest},
	} {
		e := refusedAs(t, 400, fmt.Sprintf(`{"error":%q,"suberror":%q,"error_codes":[%d]}`,
			test.code, test.suberror, test.number))
		if e.Class != test.class {
			t.Errorf("%s (%s) %d is %s, want %s", test.code, test.suberror, test.number, e.Class,
				test.class)
		}
	}
}

// TestDecliningIsNobodysBlock checks that a person's own no is that, in each form it comes in.
func TestDecliningIsNobodysBlock(t *testing.T) {
	const declined = "AADSTS65004: User declined to consent to access the app."
	for _, test := range [][3]string{
		{"access_denied", declined, "cancel"}, {"access_denied", declined, ""},
		{"access_denied", "", "cancel"}, {"access_denied", "", ""},
		{"consent_required", declined, ""},
	} {
		if e := AuthorizeError(test[0], test[1], test[2]); e.Class != ClassSignIn {
			t.Errorf("%v is %s", test, e.Class)
		}
	}
}

// TestPersonalAccountsScope checks that a personal account's missing consent costs one resource.
func TestPersonalAccountsScope(t *testing.T) {
	e := refusedAs(t, 400, `{"error":"invalid_grant","error_codes":[70000],"error_description":`+
		`"AADSTS70000: The request was denied because one or more scopes requested are `+
		`unauthorized or expired. Sign in first."}`)
	if e.Class != ClassResource {
		t.Errorf("it is %s", e.Class)
	}
	if e := refusedAs(t, 400, `{"error":"invalid_grant","error_codes":[70000],`+
		`"error_description":"AADSTS70000: Provided grant is invalid."}`); e.Class != ClassUser {
		t.Errorf("a bad grant is %s", e.Class)
	}
}

// TestNumbersWithoutSuberror checks what only the number tells.
func TestNumbersWithoutSuberror(t *testing.T) {
	for class, numbers := range map[Class][]int{
		ClassBlocked: {53002, 53004, 53009, 53010, 53011, 530003, 530021, 500212, 500213, 50020,
			500341, 500571, 501051, 51004, 50155, 5000224, 50053},
		ClassUser:   {700003, 9002313},
		ClassClient: {70021, 90061, 700213},
	} {
		for _, number := range numbers {
			code := "invalid_grant"
			if class == ClassClient {
				code = "invalid_request"
			}
			e := refusedAs(t, 400, fmt.Sprintf(`{"error":%q,"error_codes":[%d]}`, code, number))
			if e.Class != class {
				t.Errorf("%s %d is %s, want %s", code, number, e.Class, class)
			}
		}
	}
	if e := refusedAs(t, 400, `{"error":"invalid_grant",`+
		`"suberror":"device_authentication_failed"}`); e.Class != ClassUser {
		t.Errorf("device_authentication_failed is %s", e.Class)
	}
	for _, number := range []int{90080, 90085, 90090} {
		e := refusedAs(t, 400, fmt.Sprintf(
			`{"error":"invalid_grant","error_description":"AADB2C%d: It has ended."}`, number))
		if e.Class != ClassUser {
			t.Errorf("AADB2C%d is %s", number, e.Class)
		}
	}
}

// TestTheNumberThatSaysMore checks that a number which only wraps another does not stand for it.
func TestTheNumberThatSaysMore(t *testing.T) {
	for inner, class := range map[int]Class{54005: ClassSignIn, 70008: ClassUser} {
		e := refusedAs(t, 400, fmt.Sprintf(`{"error":"invalid_grant","error_codes":[70002,%d],`+
			`"error_description":"AADSTS70002: Error validating credentials. AADSTS%d: Old."}`,
			inner, inner))
		if e.AADSTS != inner || e.Class != class {
			t.Errorf("it is AADSTS%d, %s, want AADSTS%d, %s", e.AADSTS, e.Class, inner, class)
		}
	}
}

// TestTrailerWithoutSpace checks that ids and time are cut off where no space stands before them.
func TestTrailerWithoutSpace(t *testing.T) {
	const id = "11111111-2222-3333-4444-555555555555"
	for _, between := range []string{"", " ", "\r\n", "\u00a0"} {
		e := AuthorizeError("invalid_grant", "AADSTS50173: It has ended."+between+"Trace ID: "+id+
			between+"Correlation ID: "+id+between+"Timestamp: 2026-01-01 00:00:00Z", "")
		if e.Description != "AADSTS50173: It has ended." || e.TraceID != id ||
			e.CorrelationID != id {
			t.Errorf("between %q: %q, trace %q, correlation %q", between, e.Description,
				e.TraceID, e.CorrelationID)
		}
	}
}

// TestDeviceAnswers checks the forms a device answer comes in.
func TestDeviceAnswers(t *testing.T) {
	for name, body := range map[string]string{
		"verification_url": `{"device_code":"d","user_code":"A",` +
			`"verification_url":"https://login.example/device","expires_in":900,"interval":5}`,
		"numbers as strings": `{"device_code":"d","user_code":"A",` +
			`"verification_uri":"https://login.example/device","expires_in":"900",` +
			`"interval":"5"}`,
	} {
		sent := time.Unix(1000, 0)
		device, err := parseDevice([]byte(body), sent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if device.VerificationURI != "https://login.example/device" ||
			device.Interval != 5*time.Second || device.Expiry.Sub(sent) != 15*time.Minute {
			t.Errorf("%s: %+v", name, device)
		}
	}
}

// TestDeviceDenied checks that RFC 8628's access_denied is the person's own no.
func TestDeviceDenied(t *testing.T) {
	p := newProvider(t)
	p.answer = func(url.Values) (int, http.Header, string) {
		return 400, nil, `{"error":"access_denied"}`
	}
	_, err := p.client(nil).PollDevice(t.Context(), "the-device-code", nil)
	var e *Error
	if !errors.As(err, &e) || e.Class != ClassSignIn {
		t.Errorf("got %v", err)
	}
}

// TestRefreshWithoutScope checks that a refresh at another provider sends no scope where none of
// what was asked for was granted (RFC 6749 section 6).
func TestRefreshWithoutScope(t *testing.T) {
	p := newProvider(t)
	p.answer = func(form url.Values) (int, http.Header, string) {
		return 200, nil, p.tokens(map[string]any{"scope": "openid email"})
	}
	tokens, err := p.client(nil).Refresh(t.Context(),
		RefreshRequest{RefreshToken: "the-refresh-token"})
	if err != nil {
		t.Fatal(err)
	}
	if form, _ := p.lastForm(); form.Has("scope") {
		t.Errorf("it asked for %q", form.Get("scope"))
	}
	if tokens.Scope != "openid email" {
		t.Errorf("granted %q", tokens.Scope)
	}
}

// TestAssertionOfOtherProviders checks the algorithm and the name of the certificate at providers
// that are not Entra: AD FS knows no SHA-256.
func TestAssertionOfOtherProviders(t *testing.T) {
	cert := testCertificate(t)
	for name, test := range map[string]struct {
		listed    []string
		algorithm string
		member    string
	}{
		"AD FS":            {[]string{"RS256"}, "RS256", "x5t"},
		"nothing is said":  {nil, "RS256", "x5t"},
		"both":             {[]string{"RS256", "PS256"}, "RS256", "x5t"},
		"PS256 and others": {[]string{"ES256", "PS256"}, "PS256", "x5t#S256"},
	} {
		p := newProvider(t)
		if test.listed != nil {
			p.document["token_endpoint_auth_signing_alg_values_supported"] = test.listed
		}
		c := p.client(func(cfg *Config) { cfg.ClientSecret, cfg.Certificate = "", cert })
		if _, err := c.Refresh(t.Context(),
			RefreshRequest{RefreshToken: "the-refresh-token"}); err != nil {
			t.Fatal(err)
		}
		form, _ := p.lastForm()
		header := jwtPart(t, form.Get("client_assertion"), 0)
		_, named := header[test.member]
		if header["alg"] != test.algorithm || !named {
			t.Errorf("%s: header %v", name, header)
		}
	}
}

// TestAliasesOfClouds checks that older names of a cloud may be the authority, whose discovery
// names the cloud's own host, and that no cloud passes for another.
func TestAliasesOfClouds(t *testing.T) {
	for _, test := range []struct {
		base, issuer string
		fits         bool
	}{
		{"login.chinacloudapi.cn", "login.partner.microsoftonline.cn", true},
		{"login.usgovcloudapi.net", "login.microsoftonline.us", true},
		{"login.windows.net", "login.microsoftonline.com", true},
		{"sts.windows.net", "login.microsoftonline.com", true},
		{"login.windows.net", "login.microsoftonline.us", false},
		{"login.microsoftonline.com", "login.partner.microsoftonline.cn", false},
		{"login.sovcloud-identity.fr", "login.microsoftonline.com", false},
	} {
		base := "https://" + test.base + "/" + testTenant + "/v2.0"
		issuer := "https://" + test.issuer + "/" + testTenant + "/v2.0"
		if issuerFits(base, issuer) != test.fits {
			t.Errorf("%s for %s: %t", issuer, base, !test.fits)
		}
	}
}

// TestOneRefusedRedirect checks the words that redirects use for what the number tells.
func TestOneRefusedRedirect(t *testing.T) {
	for _, test := range []struct {
		code   string
		number int
		class  Class
	}{
		{"invalid_client", 650052, ClassRequest},
		{"interaction_required", 50105, ClassBlocked},
		{"invalid_grant", 50097, ClassBlocked},
		{"invalid_resource", 500011, ClassRequest},
		{"invalid_request", 9002326, ClassClient},
		{"invalid_request", 9002327, ClassClient},
	} {
		e := AuthorizeError(test.code, fmt.Sprintf("AADSTS%d: No.", test.number), "")
		if e.Class != test.class {
			t.Errorf("%s %d is %s, want %s", test.code, test.number, e.Class, test.class)
		}
	}
}

// TestClientAtARefresh checks that whether a credential is wanted is a fact of the grant.
func TestClientAtARefresh(t *testing.T) {
	for _, number := range []int{700025, 7000218} {
		e := refusedAs(t, 401, fmt.Sprintf(`{"error":"invalid_client","error_codes":[%d]}`, number))
		if e.Class != ClassUser {
			t.Errorf("%d is %s", number, e.Class)
		}
	}
}

// TestCloudsOfEurope checks the environments beside the three.
func TestCloudsOfEurope(t *testing.T) {
	for environment, host := range map[string]string{
		"BleuCloud":  "login.sovcloud-identity.fr",
		"DelosCloud": "login.sovcloud-identity.de",
		"GovSGCloud": "login.sovcloud-identity.sg",
	} {
		c, err := New(Config{Environment: environment, TenantID: testTenant, ClientID: testClient})
		if err != nil {
			t.Errorf("%s: %v", environment, err)
			continue
		}
		got, err := c.AuthorizeURL(t.Context(), AuthorizeRequest{Verifier: "v"})
		if err != nil || !strings.HasPrefix(got, "https://"+host+"/") {
			t.Errorf("%s: %s, %v", environment, got, err)
		}
	}
}
