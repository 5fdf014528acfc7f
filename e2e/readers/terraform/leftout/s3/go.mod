// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/terraform/internal/backend/remote-state/s3

go 1.26.0
