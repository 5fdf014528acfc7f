// SPDX-License-Identifier: MPL-2.0

// Package pgxv4 stands for PostgreSQL on Cloud SQL.
package pgxv4

import "cloud.google.com/go/cloudsqlconn"

// RegisterDriver is refused.
func RegisterDriver(name string, opts ...cloudsqlconn.Option) (func() error, error) {
	return cloudsqlconn.RegisterDriver(name, opts...)
}
