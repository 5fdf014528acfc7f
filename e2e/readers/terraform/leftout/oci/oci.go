// SPDX-License-Identifier: MPL-2.0

// Package oci stands for Terraform's backend, which its module does not bring along.
package oci

import "github.com/hashicorp/terraform/internal/backend"

// New is asked for by a configuration that names this backend.
func New() backend.Backend { panic("the backend oci is left out") }
