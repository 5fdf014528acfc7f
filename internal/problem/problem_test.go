// SPDX-License-Identifier: MPL-2.0

package problem

import (
	"errors"
	"fmt"
	"testing"
)

// TestMessages: the code at the very start, the command at the end, and the status of each.
func TestMessages(t *testing.T) {
	for want, test := range map[string]struct {
		problem *Error
		status  int
	}{
		"invalid_request: scopes: is required": {Invalid("scopes: %s", "is required"), 400},
		`account_disabled: account "a" is disabled. Run: vault write team/entra/account/a disabled=false`: {Disabled("a"), 400},
		`no account "a" in this mount. Run: vault write -f team/entra/login/a`:                            {NoAccount("a"), 404},
		"entra_unavailable: later": {&Error{Code: EntraUnavailable, Text: "later"}, 502},
		"client_rejected: no":      {&Error{Code: ClientRejected, Text: "no"}, 502},
	} {
		if got := test.problem.Explain("team/entra/"); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
		if got := test.problem.Status(); got != test.status {
			t.Errorf("%s: status %d, want %d", want, got, test.status)
		}
	}
}

// TestInternal tells an answer of ours, however wrapped, from trouble inside Vault.
func TestInternal(t *testing.T) {
	for err, internal := range map[error]bool{
		nil:                             false,
		errors.New("storage"):           true,
		NoConfig():                      false,
		fmt.Errorf("x: %w", NoConfig()): false,
		errors.Join(errors.New("storage"), NoConfig()): false,
	} {
		if Internal(err) != internal {
			t.Errorf("%v: internal is %v", err, !internal)
		}
	}
}
