// SPDX-License-Identifier: MPL-2.0

package entratest_test

import (
	"errors"
	"testing"

	"vault-plugin-secrets-entra/internal/entratest"
)

func TestUserStates(t *testing.T) {
	for state, test := range map[entratest.UserState]struct {
		code, suberror string
		aadsts         int
		claims         bool // a claims challenge comes with it
		signInEnds     bool
	}{
		entratest.StateRevoked:     {"invalid_grant", "bad_token", 50173, false, true},
		entratest.StateMFARequired: {"invalid_grant", "basic_action", 50076, true, true},
		entratest.StatePasswordExpired: {"invalid_grant", "user_password_expired", 50055, false,
			true},
		entratest.StateSignInFrequency: {"invalid_grant", "token_expired", 70043, false, true},
		entratest.StateBlocked:         {"invalid_grant", "message_only", 53003, false, false},
		entratest.StateDisabled:        {"invalid_grant", "", 50057, false, false},
		entratest.StateDeleted:         {"invalid_grant", "", 50034, false, false},
	} {
		t.Run(string(state), func(t *testing.T) {
			w := start(t, entratest.Options{})
			token, bobs := w.signIn("alice").RefreshToken, w.signIn("bob").RefreshToken
			code := w.code("alice")
			if err := w.SetUserState("alice", state); err != nil {
				t.Fatal(err)
			}
			a := w.refresh(token).refused(t, 400, test.code, test.aadsts)
			if a.Suberror != test.suberror || (a.Claims != "") != test.claims {
				t.Errorf("suberror %q, claims %q", a.Suberror, a.Claims)
			}
			w.redeem(code).refused(t, 400, test.code, test.aadsts)
			w.refresh(bobs).good(t)

			_, err := w.SignIn(t.Context(), w.authURL(), "alice")
			var page *entratest.PageError
			if test.signInEnds {
				if err != nil {
					t.Fatal(err)
				}
				w.refresh(w.signIn("alice").RefreshToken).good(t)
				w.refresh(token).refused(t, 400, test.code, test.aadsts)
			} else if !errors.As(err, &page) || page.AADSTS != test.aadsts {
				t.Errorf("the sign-in page says %v", err)
			}

			if err := w.SetUserState("alice", entratest.StateActive); err != nil {
				t.Fatal(err)
			}
			w.refresh(token).good(t)
		})
	}
}

func TestUserStateForOneResource(t *testing.T) {
	w := start(t, entratest.Options{})
	token := w.redeem(w.code("alice", "scope", allScopes+" "+arm+"//user_impersonation")).good(
		t).RefreshToken
	if err := w.SetUserStateFor("alice", arm, entratest.StateMFARequired); err != nil {
		t.Fatal(err)
	}
	w.refresh(token, "scope", arm+"//.default").refused(t, 400, "invalid_grant", 50076)
	w.refresh(token).good(t)
	if err := w.SetUserStateFor("alice", arm, entratest.StateActive); err != nil {
		t.Fatal(err)
	}
	w.refresh(token, "scope", arm+"//.default").good(t)
}

func TestUserStateRefuses(t *testing.T) {
	w := start(t, entratest.Options{})
	for name, err := range map[string]error{
		"unknown user":  w.SetUserState("nobody", entratest.StateRevoked),
		"unknown state": w.SetUserState("alice", "tired"),
		"unknown resource": w.SetUserStateFor("alice", "https://nothing.example",
			entratest.StateRevoked),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAddUser(t *testing.T) {
	w := start(t, entratest.Options{NoUsers: true})
	if users := w.Users(); len(users) != 0 {
		t.Errorf("users %v", users)
	}
	dave, err := w.AddUser(entratest.User{Username: "Dave@contoso.example"})
	if err != nil || dave.TenantID != w.Tenant() || dave.ObjectID == "" || dave.Name != "Dave" {
		t.Errorf("%+v, %v", dave, err)
	}
	w.signIn("dave")
	for _, wrong := range []entratest.User{
		{Username: "dave"}, {Username: "@contoso.example"}, {Username: "dave@nowhere.example"},
		{Username: "dave@contoso.example", TenantID: "nowhere"},
	} {
		if _, err := w.AddUser(wrong); err == nil {
			t.Errorf("%+v was added", wrong)
		}
	}

	again := start(t, entratest.Options{})
	first, _ := start(t, entratest.Options{}).User("alice")
	if second, ok := again.User("alice@contoso.example"); !ok || second != first {
		t.Errorf("a user is not the same in every run: %+v, %+v", first, second)
	}
	if _, ok := again.User("nobody"); ok {
		t.Error("nobody is a user")
	}
}

func TestAddTenant(t *testing.T) {
	w := start(t, entratest.Options{})
	w.AddTenant(
		entratest.Tenant{ID: "0f3cbb4e-71a5-4e7c-9d52-8f6f3b0d2a11",
			Domains: []string{"tailspin.example"}},
	)
	if u, err := w.AddUser(entratest.User{Username: "tom@tailspin.example"}); err != nil ||
		u.TenantID != "0f3cbb4e-71a5-4e7c-9d52-8f6f3b0d2a11" {
		t.Errorf("%+v, %v", u, err)
	}
}
