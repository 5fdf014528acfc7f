// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/go-secure-stdlib/awsutil

go 1.25.0

require (
	github.com/aws/aws-sdk-go v1.55.8
	github.com/hashicorp/go-hclog v1.6.3
)
