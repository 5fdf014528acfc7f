// SPDX-License-Identifier: MPL-2.0

// Package provider stands for the link to the HashiCorp Cloud Platform.
package provider

import (
	"errors"
	"net"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/hcp-sdk-go/clients/cloud-shared/v1/models"
	"github.com/hashicorp/hcp-sdk-go/config"
)

// What can be wrong with a link.
var (
	ErrProviderNotStarted = errors.New("the link is left out of the small Vault")
	ErrInvalidCredentials = errors.New("invalid credentials")
	ErrPermissionDenied   = errors.New("permission denied")
)

// The states of a link.
const (
	SessionStatusDisconnected = "disconnected"
	SessionStatusConnecting   = "connecting"
	SessionStatusConnected    = "connected"
	SessionStatusWaiting      = "waiting"
)

// Config is the link's settings.
type Config struct {
	Service   string
	Resource  models.HashicorpCloudLocationLink
	HCPConfig config.HCPConfig
	Logger    hclog.Logger
}

// SCADAProvider is a link.
type SCADAProvider interface {
	UpdateMeta(map[string]string)
	Listen(string) (net.Listener, error)
	Start() error
	Stop() error
	SessionStatus() string
	LastError() (time.Time, error)
}

// New is refused.
func New(*Config) (SCADAProvider, error) { return nil, ErrProviderNotStarted }
