// SPDX-License-Identifier: MPL-2.0

package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// The words a message of this engine can start with. They stand at the very
// start of errors[0] in the HTTP body, each followed by a colon, so that a
// pipeline can match on them.
const (
	notConfigured    = "not_configured"
	invalidRequest   = "invalid_request"
	loginRequired    = "login_required"
	loginFailed      = "login_failed"
	accessDenied     = "access_denied"
	accountDisabled  = "account_disabled"
	clientRejected   = "client_rejected"
	entraUnavailable = "entra_unavailable"
)

// fault is an answer that is not what was asked for, and says whose turn it is.
type fault struct {
	word string // one of the words above; empty with notFound
	text string // what happened, one line
	next string // the command to run, with {mount} for the mount's path; may be empty

	notFound    bool // 404 by any method
	refusedUser bool // somebody else than the account's user signed in

	// For the callback's page.
	unknownState bool
	expired      bool
	declined     bool   // by the person, at Entra
	said         string // Entra's own words
	hint         string // for the administrator

	code          string // what Entra called it, for an administrator to search
	correlationID string // and the id to look it up by

	retryAfter time.Duration // as Entra said it; 0 = it did not
}

func (f *fault) Error() string {
	msg := f.text
	if f.word != "" {
		msg = f.word + ": " + msg
	}
	return msg
}

// isFault tells an answer of ours from trouble inside Vault.
func isFault(err error) bool {
	var f *fault
	return errors.As(err, &f)
}

// upstream reports whether the fault is Entra's or the client registration's:
// Vault documents 502 as "a third party answered with an error".
func (f *fault) upstream() bool {
	return f.word == clientRejected || f.word == entraUnavailable
}

func invalid(format string, args ...any) *fault {
	return &fault{word: invalidRequest, text: fmt.Sprintf(format, args...)}
}

func failedLogin(format string, args ...any) *fault {
	return &fault{word: loginFailed, text: fmt.Sprintf(format, args...)}
}

func refusedUser(format string, args ...any) *fault {
	f := failedLogin(format, args...)
	f.refusedUser = true
	return f
}

func unknownAccount(account string) *fault {
	return &fault{notFound: true, text: fmt.Sprintf("no account %q in this mount", account), next: loginCommand(account)}
}

func errNotConfigured() *fault {
	return &fault{
		word: notConfigured,
		text: "this mount has no config",
		next: "vault write {mount}config tenant_id=... client_id=... redirect_uris=...",
	}
}

func errDisabled(account string) *fault {
	return &fault{
		word: accountDisabled,
		text: fmt.Sprintf("account %q is disabled", account),
		next: fmt.Sprintf("vault write {mount}account/%s disabled=false", account),
	}
}

// loginCommand is what a person runs to sign account in (again).
func loginCommand(account string) string {
	return "vault write -f {mount}login/" + account
}

// answerError turns an error into Vault's response. Only the three sentinels
// below give a clean status: a CodedError from an external plugin would reach
// the client wrapped as "1 error occurred: …".
func (b *backend) answerError(err error) (*logical.Response, error) {
	var f *fault
	switch {
	case errors.Is(err, logical.ErrReadOnly):
		return nil, logical.ErrReadOnly // unwrapped: core compares the text
	case !errors.As(err, &f):
		return nil, err
	}
	resp := logical.ErrorResponse("%s", b.explain(f))
	switch {
	case f.notFound:
		return resp, logical.ErrUnsupportedPath
	case f.upstream():
		return resp, logical.ErrUpstreamRateLimited
	default:
		return resp, nil
	}
}

// explain is a fault's message with the command to run next.
func (b *backend) explain(f *fault) string {
	if f.next == "" {
		return f.Error()
	}
	return f.Error() + ". Run: " + b.command(f.next)
}

// command puts the mount's path into a fault's next command.
func (b *backend) command(next string) string {
	return strings.ReplaceAll(next, "{mount}", b.mount())
}
