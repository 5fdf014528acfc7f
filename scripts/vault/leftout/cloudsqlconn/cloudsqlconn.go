// SPDX-License-Identifier: MPL-2.0

// Package cloudsqlconn stands for Google's database dialer: database plugins do not
// reach Cloud SQL from the small Vault.
package cloudsqlconn

import "errors"

var errLeftOut = errors.New("Cloud SQL is left out of the small Vault")

// Option changes a dialer.
type Option func()

// WithIAMAuthN changes nothing.
func WithIAMAuthN() Option { return nil }

// WithCredentialsJSON changes nothing.
func WithCredentialsJSON([]byte) Option { return nil }

// WithDefaultDialOptions changes nothing.
func WithDefaultDialOptions(...Option) Option { return nil }

// WithPrivateIP changes nothing.
func WithPrivateIP() Option { return nil }

// WithPSC changes nothing.
func WithPSC() Option { return nil }

// RegisterDriver is refused.
func RegisterDriver(string, ...Option) (func() error, error) { return nil, errLeftOut }
