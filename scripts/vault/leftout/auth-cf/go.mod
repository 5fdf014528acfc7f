// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/vault-plugin-auth-cf

go 1.25.0
