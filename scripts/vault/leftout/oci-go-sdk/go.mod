// SPDX-License-Identifier: MPL-2.0

module github.com/oracle/oci-go-sdk

go 1.25.0
