// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/hcp-scada-provider

go 1.25.0

require (
	github.com/hashicorp/go-hclog v1.6.3
	github.com/hashicorp/hcp-sdk-go v0.138.0
)
