// SPDX-License-Identifier: MPL-2.0

module cloud.google.com/go/cloudsqlconn

go 1.25.0
