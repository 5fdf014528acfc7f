// SPDX-License-Identifier: MPL-2.0

module github.com/google/go-metrics-stackdriver

go 1.25.0

require (
	github.com/armon/go-metrics v0.4.1
)
