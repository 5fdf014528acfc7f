// SPDX-License-Identifier: MPL-2.0

module github.com/okta/okta-sdk-golang/v5

go 1.25.0
