// SPDX-License-Identifier: MPL-2.0

module github.com/jackc/pgconn

go 1.25.0
