// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

type device struct {
	UserCode   string `json:"user_code"`
	DeviceCode string `json:"device_code"`
	URI        string `json:"verification_uri"`
	ExpiresIn  int    `json:"expires_in"`
	Interval   int    `json:"interval"`
	Message    string `json:"message"`
}

// deviceForm is a good request of the public app to the device endpoint.
func (w *world) deviceForm(changes ...string) url.Values {
	return with(url.Values{"client_id": {w.PublicApp.ClientID}, "scope": {allScopes}}, changes...)
}

func (w *world) startDevice(changes ...string) device {
	w.t.Helper()
	a, err := w.send(w.t.Context(), "/"+w.Tenant()+"/oauth2/v2.0/devicecode",
		w.deviceForm(changes...))
	if err != nil || a.Status != 200 {
		w.t.Fatalf("%v: %s", err, a.Body)
	}
	var d device
	if err := json.Unmarshal([]byte(a.Body), &d); err != nil {
		w.t.Fatal(err)
	}
	return d
}

func (w *world) poll(d device, changes ...string) answer {
	w.t.Helper()
	return w.token(with(url.Values{
		"grant_type": {
			"urn:ietf:params:oauth:grant-type:device_code",
		}, "client_id": {w.PublicApp.ClientID}, "device_code": {d.DeviceCode},
	}, changes...))
}

func TestDeviceCode(t *testing.T) {
	w := start(t, entratest.Options{})
	d := w.startDevice()
	if d.Interval != 5 || d.ExpiresIn != 900 || len(d.UserCode) != 9 ||
		d.URI != w.URL+"/common/oauth2/deviceauth" ||
		d.Message == "" {
		t.Errorf("device %+v", d)
	}
	w.poll(d).refused(t, 400, "authorization_pending", 70016)
	if err := w.ApproveDevice(t.Context(), d.UserCode, "carol"); err != nil {
		t.Fatal(err)
	}
	w.clock.advance(5 * time.Second)
	tokens := w.poll(d, "grant_type", "device_code").good(
		t) // the short name that some clients send
	if tokens.RefreshToken == "" || tokens.IDToken == "" {
		t.Errorf("tokens %+v", tokens)
	}
	w.refresh(tokens.RefreshToken, "client_id", w.PublicApp.ClientID, "client_secret", "").good(t)
	w.clock.advance(5 * time.Second)
	w.poll(d).refused(t, 400, "bad_verification_code", 70018)
	if err := w.ApproveDevice(t.Context(), d.UserCode, "carol"); err == nil {
		t.Error("a used code was approved again")
	}
}

func TestDeviceCodePolling(t *testing.T) {
	w := start(t, entratest.Options{DeviceInterval: 2 * time.Second})
	d := w.startDevice()
	w.poll(d).refused(t, 400, "authorization_pending", 70016)
	w.clock.advance(time.Second)
	w.poll(d).refused(t, 400, "slow_down", 0) // and from now on five seconds more
	w.clock.advance(2 * time.Second)
	w.poll(d).refused(t, 400, "slow_down", 0)
	w.clock.advance(12 * time.Second)
	w.poll(d).refused(t, 400, "authorization_pending", 70016)
}

func TestDeviceCodeRefusals(t *testing.T) {
	w := start(t, entratest.Options{})
	t.Run("declined", func(t *testing.T) {
		d := w.startDevice()
		if err := w.DeclineDevice(t.Context(), d.UserCode); err != nil {
			t.Fatal(err)
		}
		w.poll(d).refused(t, 400, "authorization_declined", 65004)
	})
	t.Run("expired", func(t *testing.T) {
		d := w.startDevice()
		w.clock.advance(15 * time.Minute)
		w.poll(d).refused(t, 400, "expired_token", 70020)
		if err := w.ApproveDevice(t.Context(), d.UserCode, "carol"); err == nil {
			t.Error("an expired code was approved")
		}
	})
	t.Run("another app's", func(t *testing.T) {
		d := w.startDevice()
		w.poll(d, "client_id", w.App.ClientID, "client_secret", w.App.Secret()).refused(t, 401,
			"invalid_client", 700025)
	})
	t.Run("unknown", func(t *testing.T) {
		w.poll(device{DeviceCode: "made-up"}).refused(t, 400, "bad_verification_code", 70018)
		w.poll(device{}).refused(t, 400, "invalid_request", 900144)
	})
	t.Run("a secret of a public app", func(t *testing.T) {
		w.poll(w.startDevice(), "client_secret", "s").refused(t, 401, "invalid_client", 700025)
	})
	t.Run("confidential app", func(t *testing.T) {
		d := w.startDevice("client_id", w.App.ClientID)
		if err := w.ApproveDevice(t.Context(), d.UserCode, "carol"); err != nil {
			t.Fatal(err)
		}
		w.poll(d, "client_id", w.App.ClientID).refused(t, 401, "invalid_client", 7000218)
		w.poll(d, "client_id", w.App.ClientID, "client_secret", w.App.Secret()).good(t)
	})
	for name, test := range map[string]struct {
		changes []string
		code    string
		aadsts  int
	}{
		"no scope":  {[]string{"scope", ""}, "invalid_request", 900144},
		"no client": {[]string{"client_id", ""}, "invalid_request", 900144},
		"unknown resource": {[]string{"scope", "https://nothing.example/Read"}, "invalid_resource",
			500011},
		"no such scope": {[]string{"scope", "No.Such"}, "invalid_client", 650053},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := w.send(t.Context(), "/"+w.Tenant()+"/oauth2/v2.0/devicecode",
				w.deviceForm(test.changes...))
			if err != nil {
				t.Fatal(err)
			}
			a.refused(t, 400, test.code, test.aadsts)
		})
	}
}

func TestDevicePage(t *testing.T) {
	w := start(t, entratest.Options{})
	d := w.startDevice()
	page := w.page(w.get(d.URI+"?otc="+d.UserCode), 200)
	has(t, page, "Sign in on another device", `value="`+d.UserCode+`"`, "Alice Ahlgren")
	for name, fields := range map[string][]string{
		"wrong code":   {"otc", "XXXXXXXXX", "username", "alice", "action", "signin"},
		"unknown user": {"otc", d.UserCode, "username", "nobody", "action", "signin"},
		"other tenant": {"otc", d.UserCode, "username", "mallory@fabrikam.example", "action",
			"signin"},
		"nobody picked": {"otc", d.UserCode, "action", "signin"},
	} {
		if again := w.page(w.formOf(page, fields...), 200); !strings.Contains(again,
			`class="problem"`) {
			t.Errorf("%s: %s", name, again)
		}
	}
	done := w.page(
		w.formOf(page, "otc", " "+d.UserCode+" ", "login", "alice@contoso.example", "action",
			"signin"),
		200,
	)
	has(t, done, "You have signed in on your device")
	w.poll(d).good(t)
}
