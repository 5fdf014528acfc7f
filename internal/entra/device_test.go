// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestStartDevice(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	p.setAnswer(
		200,
		nil,
		`{"device_code":"d","user_code":"ABC","verification_uri":"https://login.example/device","expires_in":900,"interval":7,"message":"Enter ABC"}`,
	)
	device, err := c.StartDevice(context.Background(), []string{"User.Read"})
	if err != nil || device.Code != "d" || device.UserCode != "ABC" ||
		device.Interval != 7*time.Second ||
		!device.Expiry.Equal(p.now.UTC().Add(15*time.Minute)) ||
		device.Message != "Enter ABC" {
		t.Errorf("got %+v, %v", device, err)
	}
	if form, _ := p.lastForm(); form.Get("scope") != "User.Read openid profile offline_access" ||
		form.Get("client_id") != testClient {
		t.Errorf("sent %v", form)
	}
	p.setAnswer(200, nil,
		`{"device_code":"d","user_code":"ABC","verification_uri":"https://login.example/device"}`)
	if device, err = c.StartDevice(context.Background(), []string{"User.Read"}); err != nil ||
		device.Interval != 5*time.Second ||
		device.Message == "" {
		t.Errorf("the least of an answer is read as %+v, %v", device, err)
	}
	for name, body := range map[string]string{
		"no code":      `{"user_code":"ABC","verification_uri":"https://x.example"}`,
		"no user code": `{"device_code":"d","verification_uri":"https://x.example"}`,
		"script":       `{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)"}`,
		"not JSON":     `hello`, "empty": ``,
	} {
		p.setAnswer(200, nil, body)
		var e *Error
		if _, err := c.StartDevice(context.Background(), []string{"User.Read"}); !errors.As(err,
			&e) ||
			e.Class != ClassTransient {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.document["device_authorization_endpoint"] = ""
	var e *Error
	if _, err := p.client(nil).StartDevice(context.Background(), []string{"User.Read"}); !errors.As(
		err, &e) ||
		e.Class != ClassRequest {
		t.Errorf("without an endpoint: %v", err)
	}
}

func TestPollDevice(t *testing.T) {
	p := newProvider(t)
	c := p.client(nil)
	for body, want := range map[string]struct {
		class Class
		slow  time.Duration
	}{
		`{"error":"authorization_pending","error_codes":[70016]}`: {ClassPending, 0},
		`{"error":"slow_down"}`:                                   {ClassPending, 5 * time.Second},
		`{"error":"authorization_declined"}`:                      {ClassSignIn, 0},
		`{"error":"expired_token"}`:                               {ClassSignIn, 0},
	} {
		p.setAnswer(400, nil, body)
		_, err := c.PollDevice(context.Background(), "the-device-code", []string{"User.Read"})
		var e *Error
		if !errors.As(err, &e) || e.Class != want.class || e.SlowDown() != want.slow {
			t.Errorf("%s: %v", body, err)
		}
	}
	p.setAnswer(200, nil,
		p.tokens(map[string]any{"id_token": p.idToken(map[string]any{"nonce": nil})}))
	if signIn, err := c.PollDevice(context.Background(), "the-device-code",
		[]string{"User.Read"}); err != nil ||
		signIn.User.ObjectID != "object" {
		t.Errorf("got %v, %v", signIn, err)
	}
	if form, _ := p.lastForm(); form.Get("grant_type") != deviceGrantType ||
		form.Get("device_code") != "the-device-code" {
		t.Errorf("sent %v", form)
	}
}
