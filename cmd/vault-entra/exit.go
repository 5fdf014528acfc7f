// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/login"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// What a command ends with. docs/command-line.md has the table.
const (
	exitFailed        = 1
	exitUsage         = 2
	exitLoginRequired = 3
	exitUnavailable   = 4

	// Those of run, as env(1) and shells have them.
	exitNotStarted    = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitSignal        = 128 // and the signal's number

	exitInterrupted = 130
)

// usageError is a command line that cannot be meant.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

func usagef(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// exitCode is an error that has been told, or needs no telling, and the code to end with.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// codeOf is the exit code of an error.
func codeOf(err error) int {
	var code exitCode
	var usage usageError
	var trouble *vaultclient.Error
	var interrupted login.Interrupted
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &interrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case !errors.As(err, &trouble):
		return exitFailed
	case trouble.Passing():
		return exitUnavailable
	}
	switch trouble.Class {
	case vaultclient.LoginRequired, vaultclient.UnknownAccount, vaultclient.NoVaultToken:
		return exitLoginRequired
	}
	return exitFailed
}
