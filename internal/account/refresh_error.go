// SPDX-License-Identifier: MPL-2.0

package account

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// BlockedFor is how long a refusal that only an administrator can end is taken at
// its word.
const BlockedFor = time.Hour

// RefreshError is one failed call to Entra, as it is remembered: shown as last_error
// or client_error, and turned into the same problem at every read until it ends.
type RefreshError struct {
	Class         entra.Class `json:"class"`
	Code          string      `json:"code"`
	Suberror      string      `json:"suberror"`
	AADSTS        int         `json:"aadsts"`
	Message       string      `json:"message"` // one line, no secrets
	Scopes        []string    `json:"scopes"`  // that were refused; nil where that does not matter
	CorrelationID string      `json:"correlation_id"`
	Time          time.Time   `json:"time"`
	Claims        string      `json:"claims"` // a challenge, which a sign-in has to send
}

// NewRefreshError takes from err what may be remembered of it, and how long Entra
// asked to wait; 0 if it did not.
func NewRefreshError(err error, now time.Time) (r *RefreshError, retryAfter time.Duration) {
	var e *entra.Error
	if !errors.As(err, &e) {
		return &RefreshError{
			Class:   entra.ClassTransient,
			Message: err.Error(),
			Time:    now.UTC(),
		}, 0
	}
	return &RefreshError{
		Class:         e.Class,
		Code:          e.Code,
		Suberror:      e.Suberror,
		AADSTS:        e.AADSTS,
		Message:       e.Reason(),
		CorrelationID: e.CorrelationID,
		Time:          now.UTC(),
		Claims:        e.Claims,
	}, e.RetryAfter
}

// ProblemCode is what a refused refresh is called. An answer for another user counts
// as a grant that can no longer be trusted.
func (r *RefreshError) ProblemCode() problem.Code {
	switch r.Class {
	case entra.ClassUser, entra.ClassResource, entra.ClassSignIn:
		return problem.LoginRequired
	case entra.ClassBlocked:
		return problem.AccessDenied
	case entra.ClassClient:
		return problem.ClientRejected
	case entra.ClassRequest:
		return problem.InvalidRequest
	default:
		return problem.EntraUnavailable
	}
}

// Stands reports whether the error still keeps a refresh from being tried.
func (r *RefreshError) Stands(now time.Time) bool {
	return r.Class != entra.ClassBlocked || now.Before(r.Time.Add(BlockedFor))
}

// IsFor reports whether the error speaks of these scopes: one of scopes that were
// corrected since does not.
func (r *RefreshError) IsFor(scopes []string) bool {
	return r.Scopes == nil || scopes == nil || slices.Equal(r.Scopes, scopes)
}

// Lasts reports whether the error is stored with the account: until a sign-in, or
// until an administrator has had time to act.
func (r *RefreshError) Lasts() bool {
	switch r.Class {
	case entra.ClassUser, entra.ClassResource, entra.ClassSignIn, entra.ClassBlocked:
		return true
	}
	return false
}

// EndsAccount reports whether the whole account needs a sign-in, not only what was
// asked for.
func (r *RefreshError) EndsAccount() bool {
	return r.Class == entra.ClassUser || r.Class == entra.ClassSignIn
}

// Reason is the error in brackets: what Entra said and the id its administrators can
// look up.
func (r *RefreshError) Reason() string {
	if r.CorrelationID == "" {
		return r.Message
	}
	return r.Message + ", correlation_id " + r.CorrelationID
}

// EntraCode is the number or word an administrator searches for.
func (r *RefreshError) EntraCode() string {
	if r.AADSTS != 0 {
		return fmt.Sprintf("AADSTS%d", r.AADSTS)
	}
	return r.Code
}

// Problem is the answer to whoever asked for the token of a role of the account e,
// named account; role "" is the default token.
func (r *RefreshError) Problem(account, role string, e *Entry) *problem.Error {
	p := &problem.Error{
		Code:          r.ProblemCode(),
		EntraCode:     r.EntraCode(),
		CorrelationID: r.CorrelationID,
	}
	of := fmt.Sprintf("account %q", account)
	if role != "" {
		of += fmt.Sprintf(", role %q", role)
	}
	switch p.Code {
	case problem.LoginRequired:
		p.Text = fmt.Sprintf("%s must sign in again (%s)", of, r.Reason())
		p.Command = problem.LoginCommand(account)
		switch {
		case role == "" || slices.Contains(e.Roles, role):
		case byDefault(r.Scopes): // Entra takes it in a sign-in of its own
			p.Command = fmt.Sprintf("vault write {mount}login/%s scopes=%s", account, r.Scopes[0])
		default:
			roles := strings.Join(append(slices.Clone(e.Roles), role), ",")
			p.Command = fmt.Sprintf("vault write {mount}login/%s roles=%s", account, roles)
		}
	case problem.AccessDenied:
		device := ""
		if r.about().AboutDevice() {
			device = ", or sign in from a compliant device"
			p.Command = problem.LoginCommand(account)
		}
		p.Text = fmt.Sprintf("%s is blocked by Entra and an administrator must act%s (%s); "+
			"tried again after %s", of, device, r.Reason(), r.Time.Add(BlockedFor).Format(time.RFC3339))
	case problem.ClientRejected:
		p.Text = fmt.Sprintf("Entra refuses this mount's app registration (%s); "+
			"no account is touched. Correct the config", r.Reason())
		p.Command = "vault write {mount}config client_secret=..."
	case problem.InvalidRequest:
		p.Text = fmt.Sprintf("Entra refuses what was asked for: %s (%s)", of, r.Reason())
		if r.about().AboutScopes() {
			p.Text = fmt.Sprintf("Entra refuses the scopes asked for: %s: correct them (%s)",
				of, r.Reason())
		}
		if r.AADSTS == 90009 {
			p.Text += "; this tenant wants a scope of the application's own API as <client_id>/<name>"
		}
	default:
		p.Text = fmt.Sprintf("%s could not be refreshed (%s); its refresh token is kept, try again",
			of, r.Reason())
	}
	return p
}

// byDefault tells the scopes of a role that stands for static consent.
func byDefault(scopes []string) bool {
	return len(scopes) == 1 && strings.HasSuffix(scopes[0], "/.default")
}

// about is what the protocol knows of such an error.
func (r *RefreshError) about() *entra.Error {
	return &entra.Error{Class: r.Class, Code: r.Code, Suberror: r.Suberror, AADSTS: r.AADSTS}
}

// ChallengeCommand is the sign-in that carries a claims challenge.
func ChallengeCommand(account, claims string) string {
	quoted := strings.ReplaceAll(claims, "'", `'\''`)
	return fmt.Sprintf("vault write {mount}login/%s claims='%s'", account, quoted)
}

// LoginProblem is the answer to whoever tried to sign in. Every class ends as
// login_failed, but the trouble of the client and of Entra keep their codes.
func (r *RefreshError) LoginProblem(account string) *problem.Error {
	p := problem.FailedLogin("account %q was not signed in (%s)", account, r.Reason())
	p.Command = problem.LoginCommand(account)
	p.EntraCode, p.CorrelationID, p.Claims = r.EntraCode(), r.CorrelationID, r.Claims
	p.Said = strings.TrimPrefix(r.Message, r.EntraCode()+": ")
	switch r.Class {
	case entra.ClassClient:
		p.Code = problem.ClientRejected
		p.Hint = platformHint(r.AADSTS)
		p.Text = fmt.Sprintf("account %q was not signed in: "+
			"Entra refuses this mount's app registration (%s)", account, r.Reason())
		if p.Hint != "" {
			p.Text += "; " + p.Hint
		}
		p.Command = ""
	case entra.ClassBlocked:
		p.Hint = "An administrator must act before a sign-in works."
	case entra.ClassTransient:
		p.Code = problem.EntraUnavailable
	}
	return p
}

// platformHint explains the two codes that speak of a credential and mean the
// platform under which the redirect URI is registered.
func platformHint(aadsts int) string {
	const mobile = `the platform "Mobile and desktop applications"`
	switch aadsts {
	case 7000218:
		return `Entra wants a credential: the redirect URI is registered under the platform "Web", ` +
			`so write client_secret to the config, or register it under "Mobile and desktop applications"`
	case 700025:
		return `Entra wants no credential: the redirect URI is registered under ` + mobile + `, ` +
			`so register it under "Web", or write client_secret="" to the config`
	}
	if aadsts == 9002326 || aadsts == 9002327 {
		return `the redirect URI is registered under the platform "Single-page application", ` +
			`whose codes only a browser may redeem: register it under "Web"`
	}
	return ""
}
