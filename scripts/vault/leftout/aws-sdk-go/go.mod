// SPDX-License-Identifier: MPL-2.0

module github.com/aws/aws-sdk-go

go 1.25.0
