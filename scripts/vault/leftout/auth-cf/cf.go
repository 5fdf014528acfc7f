// SPDX-License-Identifier: MPL-2.0

// Package cf stands for Cloud Foundry's sign-in, which the Agent of the small Vault
// does not know.
package cf

// Variables that sign-in reads.
const (
	EnvVarInstanceCertificate = "CF_INSTANCE_CERT"
	EnvVarInstanceKey         = "CF_INSTANCE_KEY"
)
