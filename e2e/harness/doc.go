// SPDX-License-Identifier: MPL-2.0

// Package harness runs what the end-to-end tests need: real Vault servers and clusters
// with the built plugin, the built Entra simulator, an API server of Kubernetes, and a browser,
// all on loopback ports.
//
// The tests lie beside it, one package for each thing that they show: signin, token,
// cluster, clients, readers, docs. They meet the plugin as its users do. Their module requires
// neither the plugin's module nor its SDK: Vault is built here from source with the SDK
// that it was released with.
//
// scripts/e2e-build.sh builds the programs, once. Run all with scripts/test.sh, or
// some of them with
//
//	go -C e2e test -count=1 ./token -run TestHerdOfReaders
//
// Where ENTRA_E2E_PROGRAMS does not name a folder that was built, the tests run the
// script, and packages run one after the other. The soak test measures times and has to
// run alone, so with a folder they are to be run with -p 1.
package harness
