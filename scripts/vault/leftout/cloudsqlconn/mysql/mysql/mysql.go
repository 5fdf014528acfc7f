// SPDX-License-Identifier: MPL-2.0

// Package mysql stands for MySQL on Cloud SQL.
package mysql

import "cloud.google.com/go/cloudsqlconn"

// RegisterDriver is refused.
func RegisterDriver(name string, opts ...cloudsqlconn.Option) (func() error, error) {
	return cloudsqlconn.RegisterDriver(name, opts...)
}
