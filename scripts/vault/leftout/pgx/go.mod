// SPDX-License-Identifier: MPL-2.0

module github.com/jackc/pgx/v4

go 1.25.0

require (
	github.com/jackc/pgconn v1.14.3
)
