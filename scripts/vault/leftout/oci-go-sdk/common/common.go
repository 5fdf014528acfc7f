// SPDX-License-Identifier: MPL-2.0

// Package common stands for Oracle's client: the Agent of the small Vault does not sign
// in by oci.
package common

import (
	"errors"
	"net/http"
)

var errLeftOut = errors.New("sign-in by oci is left out of the small Vault")

// ConfigurationProvider finds a credential.
type ConfigurationProvider interface {
	KeyID() (string, error)
}

type leftOut struct{}

func (leftOut) KeyID() (string, error) { return "", errLeftOut }

// ConfigurationProviderEnvironmentVariables finds nothing.
func ConfigurationProviderEnvironmentVariables(_, _ string) ConfigurationProvider {
	return leftOut{}
}

// ConfigurationProviderFromFile finds nothing.
func ConfigurationProviderFromFile(_, _ string) (ConfigurationProvider, error) {
	return leftOut{}, nil
}

// ComposingConfigurationProvider finds nothing.
func ComposingConfigurationProvider([]ConfigurationProvider) (ConfigurationProvider, error) {
	return leftOut{}, nil
}

// HTTPRequestSigner signs requests.
type HTTPRequestSigner interface {
	Sign(*http.Request) error
}

// Sign is refused.
func (leftOut) Sign(*http.Request) error { return errLeftOut }

// DefaultRequestSigner refuses to sign.
func DefaultRequestSigner(ConfigurationProvider) HTTPRequestSigner { return leftOut{} }
