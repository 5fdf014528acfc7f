// SPDX-License-Identifier: MPL-2.0

package vaultclient

import (
	"fmt"
	"time"
)

// Class tells apart why a request did not give what was asked for.
type Class int

// The classes. Whose turn it is: a person's (LoginRequired, UnknownAccount, NoVaultToken), an
// operator's (Forbidden, AccessDenied, Disabled, NoMount), or nobody's but time (Sealed,
// Unreachable, EntraUnavailable, Throttled).
const (
	Failed           Class = iota // anything else
	LoginRequired                 // the account has to sign in again
	UnknownAccount                // nobody has signed in to the account yet
	Disabled                      // an operator has switched the account off
	AccessDenied                  // Entra's policy or directory says no
	NoVaultToken                  // there is no Vault token, or Vault does not take it
	Forbidden                     // the policies of the Vault token lack a path
	NothingThere                  // nothing is at the path, or the engine does not have it
	NoMount                       // no engine is mounted there
	Sealed                        // Vault is sealed or not initialized
	Unreachable                   // Vault does not answer
	EntraUnavailable              // Vault could not get a token from Entra
	Throttled                     // a rate limit of Vault's
)

// Error is why a request did not give what was asked for, in words for a person.
type Error struct {
	Class      Class
	Text       string        // what happened, one line
	Command    string        // mends it; "" if there is none
	RetryAfter time.Duration // it may work after this long; 0 if nobody said
	Cause      error         // may be nil
}

// Error is the text with the command that mends it.
func (e *Error) Error() string {
	if e.Command == "" {
		return e.Text
	}
	return e.Text + ". Run: " + e.Command
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Passing reports whether the trouble may go away by itself.
func (e *Error) Passing() bool {
	switch e.Class {
	case Sealed, Unreachable, EntraUnavailable, Throttled:
		return true
	}
	return false
}

// Errorf makes an error of a class.
func Errorf(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Text: fmt.Sprintf(format, args...)}
}
