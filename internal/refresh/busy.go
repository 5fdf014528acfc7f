// SPDX-License-Identifier: MPL-2.0

package refresh

import (
	"fmt"
	"time"

	"vault-plugin-secrets-entra/internal/problem"
)

const (
	// patience is how long a caller waits for the turn of its refresh at most: Vault's client
	// asks three times and gives up after a minute, and would not tell its user why.
	// patienceValid is that of one to whom the cached token can be served.
	patience      = 18 * time.Second
	patienceValid = time.Second

	// patienceSpread is how much earlier some leave: thousands who came together do not leave
	// together, which would keep the machine from the calls.
	patienceSpread = 6 * time.Second

	// adviceMin and adviceMax bound when a caller is told to come back.
	adviceMin, adviceMax = time.Second, 5 * time.Minute
)

// busy is why a refresh has not called Entra: its turn has not come. It keeps its place, and its
// callers come back.
type busy struct {
	wait      time.Duration // until its turn, as far as can be known
	throttled bool          // by Entra; else by the ceiling of calls at once
}

// Error implements error.
func (b *busy) Error() string { return "its turn to call Entra has not come" }

// problem is the answer to whoever asked for a token of the account.
func (b *busy) problem(account string) *problem.Error {
	why := "many others are before it"
	if b.throttled {
		why = "Entra throttles this mount"
	}
	return &problem.Error{
		Code: problem.EntraUnavailable,
		Text: fmt.Sprintf("account %q could not be refreshed yet, for %s; its refresh token is kept, "+
			"try again in %s", account, why, advice(b.wait)),
	}
}

// advice is when a caller who would have to wait so long should come back, in whole seconds.
func advice(wait time.Duration) time.Duration {
	whole := (wait + time.Second - 1).Truncate(time.Second)
	return min(max(whole, adviceMin), adviceMax)
}
