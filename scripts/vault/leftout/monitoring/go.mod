// SPDX-License-Identifier: MPL-2.0

module cloud.google.com/go/monitoring

go 1.25.0
