// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/vault-hcp-lib

go 1.25.0

require (
	github.com/hashicorp/cli v1.1.7
)
