// SPDX-License-Identifier: MPL-2.0

// Package stdlib stands for PostgreSQL's driver of database/sql.
package stdlib

import (
	"database/sql"

	"github.com/jackc/pgx/v4"
)

// OpenDB opens nothing: a ConnConfig cannot be made.
func OpenDB(pgx.ConnConfig) *sql.DB { return nil }

// RegisterConnConfig names no connection: a ConnConfig cannot be made.
func RegisterConnConfig(*pgx.ConnConfig) string { return "" }
