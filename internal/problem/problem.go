// SPDX-License-Identifier: MPL-2.0

// Package problem holds the answers that are not what was asked for: the error
// codes a reader sees, their text, and the command to run next.
package problem

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Code is what a message of this engine starts with, followed by a colon. It
// stands at the very start of errors[0] in the HTTP body, so that a pipeline can
// match on it.
type Code string

// The codes, with the HTTP status of each.
const (
	NotConfigured    Code = "not_configured"    // 400
	InvalidRequest   Code = "invalid_request"   // 400
	LoginRequired    Code = "login_required"    // 400
	LoginFailed      Code = "login_failed"      // 400
	AccessDenied     Code = "access_denied"     // 400
	AccountDisabled  Code = "account_disabled"  // 400
	ClientRejected   Code = "client_rejected"   // 502
	EntraUnavailable Code = "entra_unavailable" // 502

	// UnknownAccount is 404, by any method. Its message does not start with it.
	UnknownAccount Code = "unknown_account"
)

// Detail tells apart what became of a sign-in, for the page that a person sees.
type Detail string

// The details of LoginFailed.
const (
	UnknownState Detail = "unknown_state" // no login waits for the state
	Expired      Detail = "expired"       // the login's time is up
	Declined     Detail = "declined"      // by the person, at Entra
	WrongUser    Detail = "wrong_user"    // somebody else than the account's user signed in
)

// Error is an answer that is not what was asked for, and says whose turn it is.
type Error struct {
	Code    Code
	Detail  Detail
	Text    string // what happened, one line
	Command string // to run next, with {mount} for the mount's path; may be empty

	Said          string // Entra's own words
	Hint          string // for the administrator
	EntraCode     string // what Entra called it, for an administrator to search
	CorrelationID string // and the id to look it up by
	Claims        string // a challenge that the next sign-in has to send
}

// Error is the message without the command.
func (e *Error) Error() string {
	if e.Code == UnknownAccount || e.Code == "" {
		return e.Text
	}
	return string(e.Code) + ": " + e.Text
}

// Status is the HTTP status of the answer. Vault documents 502 as "a third party
// answered with an error".
func (e *Error) Status() int {
	switch e.Code {
	case ClientRejected, EntraUnavailable:
		return http.StatusBadGateway
	case UnknownAccount:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

// Explain is the message with the command to run next, at a mount such as "entra/".
func (e *Error) Explain(mount string) string {
	if e.Command == "" {
		return e.Error()
	}
	return e.Error() + ". Run: " + e.CommandAt(mount)
}

// CommandAt is the command to run next, at a mount such as "entra/".
func (e *Error) CommandAt(mount string) string {
	return strings.ReplaceAll(e.Command, "{mount}", mount)
}

// Of returns the answer that err holds, nil if it is trouble inside Vault.
func Of(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return nil
}

// Internal reports whether err is trouble inside Vault and no answer of ours.
func Internal(err error) bool { return err != nil && Of(err) == nil }

// Invalid refuses a request; the text begins with the field's name.
func Invalid(format string, args ...any) *Error {
	return &Error{Code: InvalidRequest, Text: fmt.Sprintf(format, args...)}
}

// FailedLogin ends a sign-in.
func FailedLogin(format string, args ...any) *Error {
	return &Error{Code: LoginFailed, Text: fmt.Sprintf(format, args...)}
}

// RefusedUser ends a sign-in by somebody who may not have the account.
func RefusedUser(format string, args ...any) *Error {
	e := FailedLogin(format, args...)
	e.Detail = WrongUser
	return e
}

// NoAccount answers a name that no account has.
func NoAccount(account string) *Error {
	return &Error{
		Code:    UnknownAccount,
		Text:    fmt.Sprintf("no account %q in this mount", account),
		Command: LoginCommand(account),
	}
}

// NoConfig answers while the mount has no app registration.
func NoConfig() *Error {
	return &Error{
		Code:    NotConfigured,
		Text:    "this mount has no config",
		Command: "vault write {mount}config tenant_id=... client_id=... redirect_uris=...",
	}
}

// Disabled answers for an account that is switched off.
func Disabled(account string) *Error {
	return &Error{
		Code:    AccountDisabled,
		Text:    fmt.Sprintf("account %q is disabled", account),
		Command: fmt.Sprintf("vault write {mount}account/%s disabled=false", account),
	}
}

// LoginCommand is what a person runs to sign account in (again).
func LoginCommand(account string) string { return "vault write -f {mount}login/" + account }
