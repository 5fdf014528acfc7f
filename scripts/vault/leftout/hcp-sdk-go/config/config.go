// SPDX-License-Identifier: MPL-2.0

// Package config stands for the settings of the HashiCorp Cloud Platform, which the
// small Vault does not link to.
package config

import (
	"errors"

	"golang.org/x/oauth2"
)

// HCPConfig is the settings.
type HCPConfig interface {
	Token() (*oauth2.Token, error)
	APIAddress() string
}

// HCPConfigOption changes them.
type HCPConfigOption func()

// FromEnv changes nothing.
func FromEnv() HCPConfigOption { return nil }

// WithClientCredentials changes nothing.
func WithClientCredentials(_, _ string) HCPConfigOption { return nil }

// NewHCPConfig is refused.
func NewHCPConfig(...HCPConfigOption) (HCPConfig, error) {
	return nil, errors.New("the HashiCorp Cloud Platform is left out of the small Vault")
}
