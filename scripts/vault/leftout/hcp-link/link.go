// SPDX-License-Identifier: MPL-2.0

// Package link stands for the link to the HashiCorp Cloud Platform.
package link

import (
	"errors"

	"github.com/hashicorp/hcp-link/pkg/config"
)

// Link is a link.
type Link interface {
	Start() error
	Stop() error
}

// New is refused.
func New(*config.Config) (Link, error) {
	return nil, errors.New("the HashiCorp Cloud Platform is left out of the small Vault")
}
