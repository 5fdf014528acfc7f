// SPDX-License-Identifier: MPL-2.0

module github.com/Azure/azure-sdk-for-go/sdk/azcore

go 1.25.0
