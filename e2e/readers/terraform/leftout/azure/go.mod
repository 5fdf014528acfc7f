// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/terraform/internal/backend/remote-state/azure

go 1.26.0
