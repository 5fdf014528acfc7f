// SPDX-License-Identifier: MPL-2.0

// Package e2e tests the plugin as its users meet it: the built binary inside real
// Vault servers, signed in to through the built Entra simulator, all over HTTP on
// loopback ports.
//
// It is a module of its own, and requires neither the plugin's module nor its
// SDK: Vault is built here from source with the SDK that it was released with.
//
// scripts/e2e-build.sh builds what is needed, once. Run it with ../scripts/test.sh, or
// go test here: where ENTRA_E2E_PROGRAMS does not name a folder that was built, the
// tests run the script.
package e2e
