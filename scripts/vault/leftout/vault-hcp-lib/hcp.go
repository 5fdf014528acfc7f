// SPDX-License-Identifier: MPL-2.0

// Package vaulthcplib stands for the commands of the HashiCorp Cloud Platform.
package vaulthcplib

import (
	"time"

	"github.com/hashicorp/cli"
)

// HCPToken is a token of the platform.
type HCPToken struct {
	AccessToken, ProxyAddr string
	AccessTokenExpiry      time.Time
}

// HCPTokenHelper finds a token.
type HCPTokenHelper interface {
	GetHCPToken(path string) (*HCPToken, error)
}

// InternalHCPTokenHelper finds none.
type InternalHCPTokenHelper struct{}

// GetHCPToken finds none, as for somebody who never used the platform.
func (InternalHCPTokenHelper) GetHCPToken(string) (*HCPToken, error) { return nil, nil }

// InitHCPCommand adds no commands.
func InitHCPCommand(cli.Ui) map[string]cli.CommandFactory { return nil }
