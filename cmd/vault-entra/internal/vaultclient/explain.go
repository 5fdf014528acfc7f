// SPDX-License-Identifier: MPL-2.0

package vaultclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// explain says why a request gave nothing: whose turn it is, and the command to run next.
func (c *Client) explain(ctx context.Context, capability, path string, status answered,
	err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var answer *api.ResponseError
	if !errors.As(err, &answer) {
		if status.code != 0 {
			return &Error{Text: fmt.Sprintf("%s %s: %v", capability, path, err), Cause: err}
		}
		return &Error{Class: Unreachable, Cause: err,
			Text: fmt.Sprintf("Vault at %s cannot be reached: %s", c.Address(), shortly(err))}
	}
	said := strings.Join(answer.Errors, "; ")
	known := classify(said)
	switch {
	case known != nil:
		known.RetryAfter, known.Cause = status.retryAfter, err
		return known
	case c.wantsToken(answer):
		return &Error{Class: NoVaultToken, Cause: err,
			Text:    "there is no Vault token: VAULT_TOKEN is not set, and the token helper has none",
			Command: "vault login"}
	case answer.StatusCode == http.StatusForbidden:
		return c.explainForbidden(ctx, capability, path, err)
	case answer.StatusCode == http.StatusTooManyRequests:
		return &Error{Class: Throttled, Cause: err, RetryAfter: max(status.retryAfter, time.Second),
			Text: "a rate limit of Vault's: " + said}
	case answer.StatusCode == http.StatusServiceUnavailable && strings.Contains(said, "sealed"):
		return &Error{Class: Sealed, Cause: err, RetryAfter: status.retryAfter,
			Text:    fmt.Sprintf("Vault at %s is sealed", c.Address()),
			Command: "vault operator unseal"}
	case answer.StatusCode == http.StatusNotFound && strings.Contains(said, "no handler for route"):
		return &Error{Class: NoMount, Cause: err, Command: "vault secrets list",
			Text: fmt.Sprintf("no secrets engine is mounted where %s would be: -mount says where",
				path)}
	case answer.StatusCode == http.StatusNotFound && said == "":
		return &Error{Class: NothingThere, Cause: err, Text: "nothing is at " + path}
	case answer.StatusCode == http.StatusNotFound:
		return &Error{Class: NothingThere, Cause: err, Text: path + ": " + said}
	case answer.StatusCode >= http.StatusInternalServerError:
		return &Error{Class: Unreachable, Cause: err, RetryAfter: status.retryAfter,
			Text: fmt.Sprintf("Vault at %s has trouble (status %d): %s", c.Address(),
				answer.StatusCode, said)}
	}
	return &Error{Cause: err, Text: said}
}

// wantsToken reports whether Vault refused a request because it bore no token. A Vault of today
// says "permission denied", an older one that the token is missing.
func (c *Client) wantsToken(answer *api.ResponseError) bool {
	if c.HasToken() {
		return false
	}
	return answer.StatusCode == http.StatusForbidden ||
		strings.Contains(strings.Join(answer.Errors, " "), "missing client token")
}

// explainForbidden tells a token that Vault does not know any more from one whose policies lack
// the path.
func (c *Client) explainForbidden(ctx context.Context, capability, path string, cause error) error {
	if _, err := c.api.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		return &Error{Class: NoVaultToken, Cause: cause,
			Text: "Vault does not take the token any more", Command: "vault login"}
	}
	if may, err := c.May(ctx, capability, path); err == nil && may && capability == "update" {
		return &Error{Class: Forbidden, Cause: cause, Text: fmt.Sprintf(
			"the policies of the Vault token grant %q on %s, but not with all of its fields: an "+
				"administrator has to look at their denied_parameters", capability, path)}
	}
	refused := NotGranted(capability, path)
	refused.Cause = cause
	return refused
}

// NotGranted says what a policy has to grant.
func NotGranted(capability, path string) *Error {
	return Errorf(Forbidden, "the policies of the Vault token do not grant %q on %s: an "+
		"administrator has to add path %q { capabilities = [%q] }", capability, path, path,
		capability)
}

// codes are the words that a message of the engine starts with, and their class.
var codes = map[string]Class{
	"login_required":    LoginRequired,
	"account_disabled":  Disabled,
	"access_denied":     AccessDenied,
	"entra_unavailable": EntraUnavailable,
	"client_rejected":   EntraUnavailable,
	"not_configured":    Failed,
	"invalid_request":   Failed,
	"login_failed":      Failed,
}

// classify reads a message of the engine, nil if it is none: its first word is a code, or it says
// that nobody has signed in to an account.
func classify(said string) *Error {
	code, _, _ := strings.Cut(said, ":")
	class, known := codes[code]
	if strings.HasPrefix(said, `no account "`) {
		class, known = UnknownAccount, true
	}
	if !known {
		return nil
	}
	text, command, _ := strings.Cut(said, ". Run: ")
	return &Error{Class: class, Text: text, Command: ownCommand(command)}
}

// loginCommand is the vault command by which the engine asks for a sign-in.
var loginCommand = regexp.MustCompile(`^vault write (?:-f )?(\S+/)login/(\S+)(?: roles=(\S+))?$`)

// ownCommand turns the vault command that the engine names into this program's, where it has one
// that does the whole.
func ownCommand(command string) string {
	parts := loginCommand.FindStringSubmatch(command)
	if parts == nil {
		return command
	}
	login := "vault-entra login"
	if mount := strings.TrimSuffix(parts[1], "/"); mount != DefaultMount {
		login += " -mount=" + mount
	}
	if parts[3] != "" {
		login += " -roles=" + parts[3]
	}
	return login + " " + parts[2]
}

// shortly is the innermost part of a network error, without the request around it.
func shortly(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}
