// SPDX-License-Identifier: MPL-2.0

package clients

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/confidential"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Microsoft's own client library against the simulator: where the two disagree,
// the simulator is wrong. What holds for MSAL here makes the simulator a fair
// judge of the engine.

const (
	msalGraph    = "User.Read"
	msalARM      = "https://management.azure.com//user_impersonation"
	msalRedirect = "http://localhost:8400/callback"
)

// msal is a simulator as MSAL's clients use it.
type msal struct{ *harness.Simulator }

func newMSAL(t *testing.T) msal {
	t.Helper()
	return msal{harness.NewSimulator(t)}
}

// authority is what MSAL calls one: without the version.
func (sim msal) authority() string { return strings.TrimSuffix(sim.Authority, "/v2.0") }

// answered reads the parameters that Entra's last page carries to the redirect URI.
func answered(t *testing.T, page *harness.Page) url.Values {
	t.Helper()
	if page.Location == "" {
		return page.Form.Hidden
	}
	target, err := url.Parse(page.Location)
	if err != nil {
		t.Fatal(err)
	}
	return target.Query()
}

func msalContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func (sim msal) confidential(t *testing.T, clientID string, credential confidential.Credential,
	options ...confidential.Option) confidential.Client {
	t.Helper()
	options = append([]confidential.Option{
		confidential.WithHTTPClient(sim.HTTPClient()), confidential.WithInstanceDiscovery(false),
	}, options...)
	client, err := confidential.New(sim.authority(), clientID, credential, options...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func msalSecret(t *testing.T, value string) confidential.Credential {
	t.Helper()
	credential, err := confidential.NewCredFromSecret(value)
	if err != nil {
		t.Fatal(err)
	}
	return credential
}

// code gets an authorization code for alice and a PKCE challenge, by MSAL's URL.
func (sim msal) code(t *testing.T, client confidential.Client, clientID, verifier string,
	scopes []string, options ...confidential.AuthCodeURLOption) string {
	t.Helper()
	ctx := msalContext(t)
	authURL, err := client.AuthCodeURL(ctx, clientID, msalRedirect, scopes, options...)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(verifier))
	authURL += "&state=st%2Fate&code_challenge_method=S256&code_challenge=" +
		base64.RawURLEncoding.EncodeToString(sum[:])
	answer := answered(t, harness.NewBrowser(sim.Simulator).SignIn(authURL, "alice"))
	if answer.Get("code") == "" || answer.Get("state") != "st/ate" {
		t.Fatalf("answer %v", answer)
	}
	return answer.Get("code")
}

func newVerifier() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

// signedIn returns a client of the built-in app that alice has signed in to.
func (sim msal) signedIn(t *testing.T, options ...confidential.Option) (
	confidential.Client, confidential.AuthResult) {
	t.Helper()
	client := sim.confidential(t, sim.ClientID, msalSecret(t, sim.ClientSecret), options...)
	verifier := newVerifier()
	code := sim.code(t, client, sim.ClientID, verifier, []string{msalGraph, msalARM})
	result, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
		[]string{msalGraph}, confidential.WithChallenge(verifier))
	if err != nil {
		t.Fatal(err)
	}
	return client, result
}

// introspection is what the simulator says of an access token.
type introspection struct {
	Active   bool   `json:"active"`
	Username string `json:"username"`
	Audience string `json:"audience"`
	CAE      bool   `json:"cae"`
}

func (sim msal) introspect(t *testing.T, token string) introspection {
	t.Helper()
	var info introspection
	sim.Control("introspect", map[string]string{"token": token}, &info)
	return info
}

func TestMSALConfidentialClient(t *testing.T) {
	sim := newMSAL(t)
	sim.Control("lifetimes", map[string]string{"access_token": "1h"}, nil)
	client, result := sim.signedIn(t)
	if want := result.IDToken.Oid + "." + sim.TenantID; result.Account.HomeAccountID != want ||
		result.Account.PreferredUsername != "alice@contoso.example" {
		t.Errorf("account %+v, want home account id %s", result.Account, want)
	}
	if left := time.Until(result.ExpiresOn); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("the token expires in %v", left)
	}
	if len(result.DeclinedScopes) != 0 ||
		!strings.Contains(strings.Join(result.GrantedScopes, " "), msalGraph) {
		t.Errorf("granted %v, declined %v", result.GrantedScopes, result.DeclinedScopes)
	}
	if result.IDToken.TenantID != sim.TenantID || result.IDToken.Oid == "" {
		t.Errorf("id token %+v", result.IDToken)
	}

	t.Run("cached", func(t *testing.T) {
		again, err := client.AcquireTokenSilent(msalContext(t), []string{msalGraph},
			confidential.WithSilentAccount(result.Account))
		if err != nil || again.AccessToken != result.AccessToken {
			t.Errorf("not the cached token: %v", err)
		}
	})
	t.Run("second resource", func(t *testing.T) {
		arm, err := client.AcquireTokenSilent(msalContext(t), []string{msalARM},
			confidential.WithSilentAccount(result.Account))
		if err != nil {
			t.Fatal(err)
		}
		if info := sim.introspect(t, arm.AccessToken); !info.Active ||
			info.Audience != "https://management.azure.com/" {
			t.Errorf("token is %+v", info)
		}
	})
	t.Run("default scope", func(t *testing.T) {
		arm, err := client.AcquireTokenSilent(msalContext(t),
			[]string{"https://management.azure.com//.default"},
			confidential.WithSilentAccount(result.Account))
		if err != nil || len(arm.DeclinedScopes) != 0 {
			t.Errorf("%v, declined %v", err, arm.DeclinedScopes)
		}
	})
	t.Run("claims challenge", func(t *testing.T) { // which MSAL answers by a new sign-in only
		const claims = `{"access_token":{"nbf":{"essential":true,"value":"1700000000"}}}`
		verifier := newVerifier()
		code := sim.code(t, client, sim.ClientID, verifier, []string{msalGraph},
			confidential.WithClaims(claims))
		fresh, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
			[]string{msalGraph},
			confidential.WithChallenge(verifier), confidential.WithClaims(claims))
		if err != nil || fresh.AccessToken == result.AccessToken {
			t.Errorf("the same token came back, or %v", err)
		}
	})
}

func TestMSALRefreshesExpiredTokens(t *testing.T) {
	sim := newMSAL(t)
	// less than MSAL's buffer of five minutes
	sim.Control("lifetimes", map[string]string{"access_token": "1m"}, nil)
	for _, rotation := range []string{"entra", "refuse-old", "revoke-family"} {
		t.Run(rotation, func(t *testing.T) {
			sim.Control("policy", map[string]string{"rotation": rotation}, nil)
			client, result := sim.signedIn(t)
			last := result.AccessToken
			for range 3 {
				fresh, err := client.AcquireTokenSilent(msalContext(t), []string{msalGraph},
					confidential.WithSilentAccount(result.Account))
				if err != nil || fresh.AccessToken == last {
					t.Fatalf("the same token came back, or %v", err)
				}
				last = fresh.AccessToken
			}
			if info := sim.introspect(t, last); info.Username != "alice@contoso.example" {
				t.Errorf("token is %+v", info)
			}
		})
	}
	sim.Control("policy", map[string]string{"rotation": "entra"}, nil)
	t.Run("revoked", func(t *testing.T) {
		client, result := sim.signedIn(t)
		sim.Control("revoke", map[string]string{"user": "alice"}, nil)
		_, err := client.AcquireTokenSilent(msalContext(t), []string{msalGraph},
			confidential.WithSilentAccount(result.Account))
		msalRefused(t, err, "AADSTS50173")
	})
}

func TestMSALContinuousAccessEvaluation(t *testing.T) {
	sim := newMSAL(t)
	_, result := sim.signedIn(t, confidential.WithClientCapabilities([]string{"cp1"}))
	if info := sim.introspect(t, result.AccessToken); !info.CAE {
		t.Errorf("no CAE token: %+v", info)
	}
	if left := time.Until(result.ExpiresOn); left < 19*time.Hour {
		t.Errorf("a CAE token that expires in %v", left)
	}
	if result.Metadata.RefreshOn.IsZero() {
		t.Error("no refresh_in with a long-lived token")
	}
}

func TestMSALRefusals(t *testing.T) {
	sim := newMSAL(t)
	t.Run("wrong secret", func(t *testing.T) {
		client := sim.confidential(t, sim.ClientID, msalSecret(t, "not-the-secret"))
		verifier := newVerifier()
		code := sim.code(t, client, sim.ClientID, verifier, []string{msalGraph})
		_, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
			[]string{msalGraph}, confidential.WithChallenge(verifier))
		msalRefused(t, err, "AADSTS7000215")
	})
	t.Run("wrong verifier", func(t *testing.T) {
		client := sim.confidential(t, sim.ClientID, msalSecret(t, sim.ClientSecret))
		code := sim.code(t, client, sim.ClientID, newVerifier(), []string{msalGraph})
		_, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
			[]string{msalGraph}, confidential.WithChallenge(newVerifier()))
		msalRefused(t, err, "AADSTS501481")
	})
	t.Run("code used twice", func(t *testing.T) {
		client := sim.confidential(t, sim.ClientID, msalSecret(t, sim.ClientSecret))
		verifier := newVerifier()
		code := sim.code(t, client, sim.ClientID, verifier, []string{msalGraph})
		redeem := func() error {
			_, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
				[]string{msalGraph}, confidential.WithChallenge(verifier))
			return err
		}
		if err := redeem(); err != nil {
			t.Fatal(err)
		}
		msalRefused(t, redeem(), "AADSTS54005")
	})
}

func msalRefused(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), code) {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestMSALCertificateCredential(t *testing.T) {
	sim := newMSAL(t)
	cert, key := newClientCertificate(t)
	var app struct {
		ClientID string `json:"client_id"`
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
	sim.Control("apps", map[string]any{
		"name":          "Certificate app",
		"redirect_uris": []map[string]string{{"uri": msalRedirect, "platform": "web"}},
		"certificates":  []string{string(block)},
	}, &app)

	login := func(t *testing.T, cert *x509.Certificate, key *rsa.PrivateKey) error {
		credential, err := confidential.NewCredFromCert([]*x509.Certificate{cert}, key)
		if err != nil {
			t.Fatal(err)
		}
		client := sim.confidential(t, app.ClientID, credential)
		verifier := newVerifier()
		code := sim.code(t, client, app.ClientID, verifier, []string{msalGraph})
		result, err := client.AcquireTokenByAuthCode(msalContext(t), code, msalRedirect,
			[]string{msalGraph}, confidential.WithChallenge(verifier))
		if err == nil && !sim.introspect(t, result.AccessToken).Active {
			t.Error("the token is not active")
		}
		return err
	}
	t.Run("registered", func(t *testing.T) {
		if err := login(t, cert, key); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("unregistered", func(t *testing.T) {
		cert, key := newClientCertificate(t)
		msalRefused(t, login(t, cert, key), "AADSTS700027")
	})
}

func newClientCertificate(t *testing.T) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "msal check"},
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

func (sim msal) public(t *testing.T) public.Client {
	t.Helper()
	client, err := public.New(sim.PublicClientID, public.WithAuthority(sim.authority()),
		public.WithHTTPClient(sim.HTTPClient()), public.WithInstanceDiscovery(false))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestMSALPublicClientInteractive(t *testing.T) {
	sim := newMSAL(t)
	sim.Control("lifetimes", map[string]string{"access_token": "1m"}, nil)
	client, ctx := sim.public(t), msalContext(t)
	openURL := func(authURL string) error {
		// MSAL waits for the answer at its loopback listener.
		page := harness.NewBrowser(sim.Simulator).SignIn(authURL, "bob")
		if done := harness.NewBrowser(sim.Simulator).Follow(page); done.Status != http.StatusOK {
			t.Errorf("the loopback listener answered %d: %s", done.Status, done.Text)
		}
		return nil
	}
	result, err := client.AcquireTokenInteractive(ctx, []string{msalGraph},
		public.WithOpenURL(openURL))
	if err != nil {
		t.Fatal(err)
	}
	if result.Account.PreferredUsername != "bob@contoso.example" {
		t.Errorf("account %+v", result.Account)
	}
	fresh, err := client.AcquireTokenSilent(ctx, []string{msalGraph},
		public.WithSilentAccount(result.Account))
	if err != nil || fresh.AccessToken == result.AccessToken {
		t.Errorf("the same token came back, or %v", err)
	}
}

func TestMSALDeviceCode(t *testing.T) {
	sim := newMSAL(t)
	answer := func(t *testing.T, action string) (public.AuthResult, error) {
		ctx := msalContext(t)
		device, err := sim.public(t).AcquireTokenByDeviceCode(ctx, []string{msalGraph})
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(device.Result.Message, device.Result.UserCode) {
			t.Errorf("message %q", device.Result.Message)
		}
		sim.Control("device", map[string]string{
			"user_code": device.Result.UserCode, "user": "carol", "action": action,
		}, nil)
		return device.AuthenticationResult(ctx)
	}
	t.Run("approved", func(t *testing.T) {
		result, err := answer(t, "signin")
		if err != nil {
			t.Fatal(err)
		}
		if info := sim.introspect(t, result.AccessToken); info.Username != "carol@contoso.example" {
			t.Errorf("token is %+v", info)
		}
	})
	t.Run("declined", func(t *testing.T) {
		_, err := answer(t, "cancel")
		msalRefused(t, err, "authorization_declined")
	})
}
