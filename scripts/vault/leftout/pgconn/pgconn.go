// SPDX-License-Identifier: MPL-2.0

// Package pgconn stands for a part of PostgreSQL's driver.
package pgconn

import (
	"context"
	"crypto/tls"
)

// Config is a connection's settings.
type Config struct {
	Host      string
	Port      uint16
	TLSConfig *tls.Config
	Fallbacks []*FallbackConfig
}

// FallbackConfig is where to connect next.
type FallbackConfig struct {
	Host      string
	Port      uint16
	TLSConfig *tls.Config
}

// ParseConfigOptions are options.
type ParseConfigOptions struct{ GetSSLPassword func(context.Context) string }

// NetworkAddress is TCP's.
func NetworkAddress(host string, _ uint16) (network, address string) { return "tcp", host }
