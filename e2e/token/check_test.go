// SPDX-License-Identifier: MPL-2.0

package token

import (
	"strings"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// Check tells, always with 200 and without asking Entra, what the read after it meets.
func TestCheck(t *testing.T) {
	t.Parallel()
	e := harness.NewEngineWithRoles(t, "-token-lifetime", "6s")
	e.SignInFor("alice", "alice", "mail")
	check := func(of, word string) *harness.Answer {
		t.Helper()
		before := e.Sim.TokenRequests()
		a := e.Get("entra/check/" + of).Want(200)
		if a.Text("word") != word || a.Data["ready"] != (word == "") {
			t.Errorf("check/%s says %s", of, a.Body)
		}
		if n := e.Sim.TokenRequests() - before; n != 0 {
			t.Errorf("check/%s asked Entra %d times", of, n)
		}
		return a
	}
	refused := func(of string, status int, word string) {
		t.Helper()
		prefix := word + ": "
		if status == 404 {
			prefix = ""
		}
		said := e.Get("entra/token/"+of).WantError(status, prefix).Errors[0]
		a := check(of, word)
		if want := prefix + a.Text("message") + ". Run: " + a.Text("command"); said != want {
			t.Errorf("token/%s is answered %q, check/%s says %q", of, said, of, want)
		}
	}

	fresh := check("alice", "")
	if left := fresh.Number("good_for"); left < 1 || left > 6 {
		t.Errorf("a token of 6 s is good for %d", left)
	}
	if token := e.ReadToken("alice"); !token.Expires.Equal(fresh.Time("expire_time")) {
		t.Errorf("the token expires at %s, check said %s", token.Expires, fresh.Text("expire_time"))
	}
	refused("nobody", 404, "unknown_account")
	check("alice/arm", "") // it is not known yet that Entra refuses it
	refused("alice/arm", 400, "login_required")

	e.Sim.Control("revoke", object{"user": "alice"}, nil)
	harness.Until(t, e.ExpireTime("alice").Add(time.Second))
	if expired := check("alice", ""); expired.Number("good_for") != 0 {
		t.Errorf("an expired token is %s", expired.Body)
	}
	refused("alice", 400, "login_required")
	e.Put("entra/account/alice", object{"disabled": true}).Want(204)
	refused("alice", 400, "account_disabled")

	e.Get("entra/check/a..b").WantError(400, "invalid_request: ")
	if a := e.Get("entra/check/alice/nothing").Want(200); !strings.Contains(a.Text("message"), "disabled") {
		t.Errorf("the role of a disabled account is %s", a.Body)
	}
}
