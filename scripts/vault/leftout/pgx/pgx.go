// SPDX-License-Identifier: MPL-2.0

// Package pgx stands for PostgreSQL's driver: the small Vault has no database plugin
// for PostgreSQL.
package pgx

import (
	"errors"

	"github.com/jackc/pgconn"
)

// ConnConfig is a connection's settings.
type ConnConfig struct{ pgconn.Config }

// ParseConfig is refused.
func ParseConfig(string) (*ConnConfig, error) {
	return nil, errors.New("PostgreSQL is left out of the small Vault")
}
