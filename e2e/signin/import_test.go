// SPDX-License-Identifier: MPL-2.0

package signin

import (
	"testing"

	"vault-plugin-secrets-entra/e2e/harness"
)

// A refresh token from elsewhere is redeemed and its user verified before anything
// is stored.
func TestImport(t *testing.T) {
	t.Parallel()
	e := harness.NewEngine(t, "-rotation", "revoke-family")
	e.Put("entra/import/alice", object{
		"refresh_token": "nonsense",
	}).WantError(400, "login_failed: ")
	e.Get("entra/account/alice").Want(404)
	imported := e.Put("entra/import/alice", object{
		"refresh_token": e.Sim.RefreshToken("alice"),
	}).Want(200)
	if user := imported.Text("username"); user != "alice@contoso.example" {
		t.Errorf("imported %s", user)
	}
	e.ReadToken("alice")
	e.Put("entra/import/alice", object{
		"refresh_token": e.Sim.RefreshToken("bob"),
	}).WantError(400, "login_failed: bob@contoso.example signed in")
	e.Put("entra/refresh/alice", nil).Want(200)
}
