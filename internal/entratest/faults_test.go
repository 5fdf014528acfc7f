// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"vault-plugin-secrets-entra/internal/entratest"
)

var onRefresh = entratest.Match{Endpoint: entratest.Token, GrantType: "refresh_token"}

func TestFaultAnswers(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	for name, test := range map[string]struct {
		fault  entratest.Fault
		status int
		check  func(answer) bool
	}{
		"an AADSTS number": {entratest.Fault{AADSTS: 50196}, 400,
			func(a answer) bool { return a.Error == "invalid_grant" && a.Codes[0] == 50196 }},
		"a transient one": {entratest.Fault{AADSTS: 90033}, 503,
			func(a answer) bool { return a.Error == "temporarily_unavailable" }},
		"all overridden": {entratest.Fault{AADSTS: 50076, Error: "invalid_grant",
			Suberror: "bad_token", Status: 418, Text: "Tea.", Claims: "{}"}, 418,
			func(a answer) bool {
				return a.Error == "invalid_grant" && a.Suberror == "bad_token" &&
					a.Claims == "{}" &&
					strings.HasPrefix(a.Description, "AADSTS50076: Tea.")
			}},
		"a number nobody knows": {entratest.Fault{AADSTS: 123456}, 400,
			func(a answer) bool { return a.Codes[0] == 123456 }},
		"another provider's": {entratest.Fault{Error: "invalid_grant"}, 400,
			func(a answer) bool {
				return a.Error == "invalid_grant" && a.Codes == nil &&
					a.Trace == ""
			}},
		"a gateway's page": {entratest.Fault{Status: 503}, 503,
			func(a answer) bool { return strings.Contains(a.Body, "Service Unavailable") }},
		"throttled by text": {entratest.Fault{Status: 429, Body: "Too many requests",
			RetryAfter: "60"}, 429, func(a answer) bool {
			return a.Body == "Too many requests" && a.Header.Get("Retry-After") == "60" &&
				strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain")
		}},
		"a body that is JSON": {entratest.Fault{Status: 200, Body: `{"token_type":"Bearer"}`,
			Header: map[string]string{"Content-Type": "application/json"}}, 200,
			func(a answer) bool { return a.TokenType == "Bearer" }},
		"left out": {entratest.Fault{Omit: []string{"scope", "expires_in", "id_token"}}, 200,
			func(a answer) bool {
				return a.Scope == "" && a.ExpiresIn == nil && a.IDToken == "" && a.AccessToken != ""
			}},
		"put in": {entratest.Fault{Set: map[string]any{"expires_in": "3599"},
			Header: map[string]string{"X-Sim": "1"}}, 200,
			func(a answer) bool {
				return a.ExpiresIn == "3599" &&
					a.Header.Get("X-Sim") == "1"
			}},
		"nothing": {entratest.Fault{}, 200, func(a answer) bool { return a.AccessToken != "" }},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Match = onRefresh
			id := w.Faults.Add(test.fault)
			defer w.Faults.Remove(id)
			if a := w.refresh(token); a.Status != test.status || !test.check(a) {
				t.Errorf("status %d, header %v: %s", a.Status, a.Header, a.Body)
			}
			if w.Faults.Fired(id) != 1 {
				t.Errorf("fired %d times", w.Faults.Fired(id))
			}
		})
	}
}

func TestFaultWithoutARefreshTokenRotatesNothing(t *testing.T) {
	w := start(t, entratest.Options{Rotation: entratest.RotateRefuseOld})
	token := w.signIn("alice").RefreshToken
	id := w.Faults.Add(entratest.Fault{Match: onRefresh, Omit: []string{"refresh_token"}})
	if a := w.refresh(token).good(t); a.RefreshToken != "" {
		t.Error("a refresh token came all the same")
	}
	w.Faults.Remove(id)
	w.refresh(token).good(t)
}

func TestFaultBodySize(t *testing.T) {
	w := start(t, entratest.Options{})
	const size = 3 << 20
	w.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Keys}, BodySize: size})
	resp, err := w.Client().Get(w.URL + "/" + w.Tenant() + "/discovery/v2.0/keys")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != size || resp.StatusCode != http.StatusOK {
		t.Errorf("%d bytes, status %d, %v", n, resp.StatusCode, err)
	}
}

func TestFaultDrop(t *testing.T) {
	for name, test := range map[string]struct {
		after bool // AfterProcessing
		used  bool // the refresh token, as the simulator sees it
	}{
		"before it took effect": {false, false},
		"after it took effect":  {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, entratest.Options{Rotation: entratest.RotateRefuseOld})
			token := w.signIn("alice").RefreshToken
			w.ResetCounts()
			w.Faults.Add(
				entratest.Fault{Match: onRefresh, Drop: true, AfterProcessing: test.after,
					Times: 1},
			)
			if a, err := w.send(t.Context(), w.tokenPath(), w.refreshForm(token)); err == nil {
				t.Errorf("an answer came: %s", a.Body)
			}
			if c := w.Counts(); c.Dropped != 1 || c.Succeeded != 0 || c.Failed != 0 {
				t.Errorf("counts %+v", c)
			}
			if a := w.refresh(token); test.used {
				a.refused(t, 400, "invalid_grant", 0)
			} else {
				a.good(t)
			}
		})
	}
}

func TestFaultAfterProcessingTakesEffect(t *testing.T) {
	w := start(t, entratest.Options{})
	w.Faults.Add(
		entratest.Fault{Match: entratest.Match{GrantType: "authorization_code"}, Status: 502,
			AfterProcessing: true, Times: 1},
	)
	code := w.code("alice")
	if a := w.redeem(code); a.Status != 502 || a.AccessToken != "" {
		t.Errorf("%+v", a)
	}
	w.redeem(code).refused(t, 400, "invalid_grant", 54005)
}

func TestFaultHang(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	w.Faults.Add(entratest.Fault{Match: onRefresh, Hang: true})
	t.Run("until the client leaves", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_ = w.Await(t.Context(), onRefresh, 1)
			cancel()
		}()
		if _, err := w.send(ctx, w.tokenPath(), w.refreshForm(token)); !errors.Is(err,
			context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("until the simulator closes", func(t *testing.T) {
		failed := make(chan error, 1)
		go func() {
			_, err := w.send(t.Context(), w.tokenPath(), w.refreshForm(token))
			failed <- err
		}()
		if err := w.Await(t.Context(), onRefresh, 2); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if err := <-failed; err == nil {
			t.Error("an answer came")
		}
	})
}

func TestFaultHoldsARequest(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	release := make(chan struct{})
	w.Faults.Add(entratest.Fault{Match: onRefresh, Until: release, Delay: time.Millisecond})
	done := make(chan answer, 1)
	go func() {
		a, err := w.send(t.Context(), w.tokenPath(), w.refreshForm(token))
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	if err := w.Await(t.Context(), onRefresh, 1); err != nil {
		t.Fatal(err)
	}
	requests := w.Requests()
	if last := requests[len(requests)-1]; last.Done || last.User != "alice@contoso.example" {
		t.Errorf("held request: %+v", last)
	}
	select {
	case a := <-done:
		t.Errorf("answered while held: %+v", a)
	default:
	}
	close(release)
	(<-done).good(t)
}

func TestFaultMatching(t *testing.T) {
	w := start(t, entratest.Options{})
	alice, bob := w.signIn("alice").RefreshToken, w.signIn("bob").RefreshToken
	met := func(m entratest.Match, token string, changes ...string) bool {
		id := w.Faults.Add(entratest.Fault{Match: m, Status: 500})
		defer w.Faults.Remove(id)
		return w.refresh(token, changes...).Status == 500
	}
	for name, test := range map[string]struct {
		match entratest.Match
		met   bool
	}{
		"everything":       {entratest.Match{}, true},
		"the endpoint":     {entratest.Match{Endpoint: entratest.Token}, true},
		"another endpoint": {entratest.Match{Endpoint: entratest.Keys}, false},
		"the grant":        {entratest.Match{GrantType: "refresh_token"}, true},
		"another grant":    {entratest.Match{GrantType: "device_code"}, false},
		"the user, short":  {entratest.Match{User: "Alice"}, true},
		"the user":         {entratest.Match{User: "alice@contoso.example"}, true},
		"the client":       {entratest.Match{ClientID: strings.ToUpper(w.App.ClientID)}, true},
		"another client":   {entratest.Match{ClientID: w.PublicApp.ClientID}, false},
		"a scope":          {entratest.Match{Scope: "user.read"}, true},
		"another scope":    {entratest.Match{Scope: "Mail.Read"}, false},
		"part of a scope":  {entratest.Match{Scope: "User"}, false},
		"all of it together": {entratest.Match{Endpoint: entratest.Token,
			GrantType: "refresh_token", User: "alice", Scope: "openid"}, true},
	} {
		if got := met(test.match, alice); got != test.met {
			t.Errorf("%s: met is %v", name, got)
		}
	}
	if met(entratest.Match{User: "alice"}, bob) {
		t.Error("bob met alice's fault")
	}
}

func TestFaultAfterAndTimes(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.signIn("alice").RefreshToken
	first := w.Faults.Add(entratest.Fault{Match: onRefresh, After: 1, Times: 2, Status: 500})
	second := w.Faults.Add(entratest.Fault{Match: onRefresh, Times: 1, Status: 503})
	// the first lets one pass, which the second meets
	for i, want := range []int{503, 500, 500, 200, 200} {
		if got := w.refresh(token).Status; got != want {
			t.Errorf("request %d: status %d, want %d", i, got, want)
		}
	}
	list := w.Faults.List()
	if len(list) != 2 || list[0].ID != first || list[0].Fired != 2 || list[1].ID != second ||
		list[1].Fired != 1 {
		t.Errorf("script %+v", list)
	}
	if !w.Faults.Remove(first) || w.Faults.Remove(first) || w.Faults.Fired(first) != 0 {
		t.Error("the fault is still there")
	}
	w.Faults.Clear()
	if len(w.Faults.List()) != 0 {
		t.Error("the script is not empty")
	}
}

func TestFaultAtTheAuthorizeEndpoint(t *testing.T) {
	w := start(t, entratest.Options{})
	w.Faults.Add(
		entratest.Fault{Match: entratest.Match{Endpoint: entratest.Authorize}, AADSTS: 90094})
	for _, mode := range []string{"query", "form_post"} {
		redirect, err := w.NewBrowser().Open(t.Context(), w.authURL("response_mode", mode))
		if err != nil || redirect.Params.Get("error") != "access_denied" ||
			redirect.Params.Get("state") != "state-1" {
			t.Errorf("%s: %+v, %v", mode, redirect, err)
		}
	}
	if page := w.pageError(w.authURL("redirect_uri",
		"https://evil.example/")); page.AADSTS != 90094 {
		t.Errorf("page %+v", page)
	}
	w.Faults.Clear()
	w.Faults.Add(entratest.Fault{Match: entratest.Match{Endpoint: entratest.Authorize}, Drop: true})
	if _, err := w.SignIn(t.Context(), w.authURL(), "alice"); err == nil {
		t.Error("the page came")
	}
}

func TestFaultAtDiscovery(t *testing.T) {
	w := start(t, entratest.Options{})
	w.Faults.Add(
		entratest.Fault{Match: entratest.Match{Endpoint: entratest.Discovery}, Status: 503,
			Times: 1},
	)
	for _, want := range []int{503, 200} {
		resp, err := w.Client().Get(w.Authority() + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("status %d, want %d", resp.StatusCode, want)
		}
	}
}

// TestThrottle: a fault can let so many requests of each second pass.
func TestThrottle(t *testing.T) { synctest.Test(t, testThrottle) }

func testThrottle(t *testing.T) {
	sim := entratest.New(entratest.Options{})
	defer sim.Close()
	id := sim.Faults.Add(entratest.Fault{Status: 429, AbovePerSecond: 3})
	client := http.Client{Transport: sim.Transport()}
	for range 2 {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		for i := range 5 {
			resp, err := client.Get(sim.Authority() + "/.well-known/openid-configuration")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if met := resp.StatusCode == 429; met != (i >= 3) {
				t.Errorf("request %d of a second: status %d", i, resp.StatusCode)
			}
		}
	}
	if n := sim.Faults.Fired(id); n != 4 {
		t.Errorf("fired %d times, want 4", n)
	}
}
