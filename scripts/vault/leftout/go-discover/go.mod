// SPDX-License-Identifier: MPL-2.0

module github.com/hashicorp/go-discover

go 1.25.0
