// SPDX-License-Identifier: MPL-2.0

// Package config stands for the settings of a link.
package config

import (
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcp-link/pkg/nodestatus"
	scada "github.com/hashicorp/hcp-scada-provider"
	"github.com/hashicorp/hcp-sdk-go/clients/cloud-shared/v1/models"
	"github.com/hashicorp/hcp-sdk-go/config"
)

// Config is the settings of a link.
type Config struct {
	NodeID, NodeVersion string
	Resource            models.HashicorpCloudLocationLink
	HCPConfig           config.HCPConfig
	NodeStatusReporter  nodestatus.Reporter
	SCADAProvider       scada.SCADAProvider
	Logger              hclog.Logger
}

// Validate finds nothing wrong.
func (*Config) Validate() error { return nil }
