// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
)

// blockedFor is how long a refusal that only an administrator can end is taken at
// its word.
const blockedFor = time.Hour

// refusal is one failed call to Entra, as it is remembered: shown as last_error
// or client_error, and turned into the same fault at every read until it ends.
type refusal struct {
	Class         entra.Class `json:"class"`
	Code          string      `json:"code"`
	Suberror      string      `json:"suberror"`
	AADSTS        int         `json:"aadsts"`
	Message       string      `json:"message"` // one line, no secrets
	CorrelationID string      `json:"correlation_id"`
	Time          time.Time   `json:"time"`
}

// refusalOf takes from err what may be remembered of it.
func refusalOf(err error, now time.Time) *refusal {
	var e *entra.Error
	if !errors.As(err, &e) {
		return &refusal{Class: entra.ClassTransient, Message: err.Error(), Time: now.UTC()}
	}
	return &refusal{
		Class:         e.Class,
		Code:          e.Code,
		Suberror:      e.Suberror,
		AADSTS:        e.AADSTS,
		Message:       e.Reason(),
		CorrelationID: e.CorrelationID,
		Time:          now.UTC(),
	}
}

// word is what a refused refresh is called. An answer for another user counts
// as a grant that can no longer be trusted.
func (r *refusal) word() string {
	switch r.Class {
	case entra.ClassUser, entra.ClassResource, entra.ClassSignIn:
		return loginRequired
	case entra.ClassBlocked:
		return accessDenied
	case entra.ClassClient:
		return clientRejected
	case entra.ClassRequest:
		return invalidRequest
	default:
		return entraUnavailable
	}
}

// stands reports whether the refusal still keeps a refresh from being tried.
func (r *refusal) stands(now time.Time) bool {
	return r.Class != entra.ClassBlocked || now.Before(r.Time.Add(blockedFor))
}

// lasts reports whether the refusal is stored with the account: until a sign-in,
// or until an administrator has had time to act.
func (r *refusal) lasts() bool {
	switch r.Class {
	case entra.ClassUser, entra.ClassResource, entra.ClassSignIn, entra.ClassBlocked:
		return true
	}
	return false
}

// endsAccount reports whether the whole account needs a sign-in, not only what
// was asked for.
func (r *refusal) endsAccount() bool {
	return r.Class == entra.ClassUser || r.Class == entra.ClassSignIn
}

// reason is the refusal in brackets: what Entra said and the id its
// administrators can look up.
func (r *refusal) reason() string {
	if r.CorrelationID == "" {
		return r.Message
	}
	return r.Message + ", correlation_id " + r.CorrelationID
}

// code is the number or word an administrator searches for.
func (r *refusal) code() string {
	if r.AADSTS != 0 {
		return fmt.Sprintf("AADSTS%d", r.AADSTS)
	}
	return r.Code
}

// refreshFault is the answer to whoever wanted a token of the account e.
func (r *refusal) refreshFault(want wish, e *accountEntry) *fault {
	f := &fault{word: r.word(), code: r.code(), correlationID: r.CorrelationID}
	of := fmt.Sprintf("account %q", want.account)
	if want.role != "" {
		of += fmt.Sprintf(", role %q", want.role)
	}
	switch f.word {
	case loginRequired:
		f.text = fmt.Sprintf("%s must sign in again (%s)", of, r.reason())
		f.next = loginCommand(want.account)
		if want.role != "" && !slices.Contains(e.Roles, want.role) {
			f.next = fmt.Sprintf("vault write {mount}login/%s roles=%s", want.account, strings.Join(append(slices.Clone(e.Roles), want.role), ","))
		}
	case accessDenied:
		f.text = fmt.Sprintf("%s is blocked by Entra and an administrator must act (%s); tried again after %s",
			of, r.reason(), r.Time.Add(blockedFor).Format(time.RFC3339))
	case clientRejected:
		f.text = fmt.Sprintf("Entra refuses this mount's app registration (%s); no account is touched. Correct the config", r.reason())
		f.next = "vault write {mount}config client_secret=..."
	case invalidRequest:
		f.text = fmt.Sprintf("Entra refuses the scopes asked for: %s: correct them (%s)", of, r.reason())
	default:
		f.text = fmt.Sprintf("%s could not be refreshed (%s); its refresh token is kept, try again", of, r.reason())
	}
	return f
}

// loginFault is the answer to whoever tried to sign in. Every class ends as
// login_failed, but the trouble of the client and of Entra keep their words.
func (r *refusal) loginFault(account string) *fault {
	f := failedLogin("account %q was not signed in (%s)", account, r.reason())
	f.next, f.code, f.correlationID = loginCommand(account), r.code(), r.CorrelationID
	f.said = strings.TrimPrefix(r.Message, r.code()+": ")
	switch r.Class {
	case entra.ClassClient:
		f.word = clientRejected
		f.hint = platformHint(r.AADSTS)
		f.text = fmt.Sprintf("account %q was not signed in: Entra refuses this mount's app registration (%s)", account, r.reason())
		if f.hint != "" {
			f.text += "; " + f.hint
		}
		f.next = ""
	case entra.ClassBlocked:
		f.hint = "An administrator must act before a sign-in works."
	case entra.ClassTransient:
		f.word = entraUnavailable
	}
	return f
}

// platformHint explains the two codes that speak of a credential and mean the
// platform under which the redirect URI is registered.
func platformHint(aadsts int) string {
	switch aadsts {
	case 7000218:
		return `Entra wants a credential: the redirect URI is registered under the platform "Web", so write client_secret to the config, or register it under "Mobile and desktop applications"`
	case 700025:
		return `Entra wants no credential: the redirect URI is registered under the platform "Mobile and desktop applications", so register it under "Web", or write client_secret="" to the config`
	}
	return ""
}
