// SPDX-License-Identifier: MPL-2.0

// Package e2e tests the plugin as its users meet it: the built binary inside real
// Vault servers, signed in to through the built Entra simulator, all over HTTP on
// loopback ports.
//
// It is a module of its own, and requires neither the plugin's module nor its
// SDK: Vault is built here from source with the SDK that it was released with.
//
// TestMain builds what is needed; scripts/vault.sh finds or builds Vault.
// Run it with ../scripts/test.sh, or go test here once Vault is built.
package e2e
