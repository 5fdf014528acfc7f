// SPDX-License-Identifier: MPL-2.0

// Command vault-plugin-secrets-entra is a HashiCorp Vault secrets engine for
// Microsoft Entra ID: one browser sign-in, then fresh access tokens for months.
// Vault starts it; it does nothing when run by hand.
package main

import (
	"os"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/sdk/plugin"
)

// version is what the plugin reports as its running version; Vault refuses a
// registration whose -version differs. scripts/build.sh sets both by -ldflags.
var (
	version = "v0.1.0"
	commit  = "unknown"
)

func main() {
	meta := &api.PluginAPIClientMeta{}
	if err := meta.FlagSet().Parse(os.Args[1:]); err != nil {
		os.Exit(2)
	}
	err := plugin.ServeMultiplex(&plugin.ServeOpts{
		BackendFactoryFunc: Factory,
		TLSProviderFunc:    api.VaultPluginTLSProvider(meta.GetTLSConfig()),
	})
	if err != nil {
		hclog.New(&hclog.LoggerOptions{}).Error("plugin shutting down", "error", err)
		os.Exit(1)
	}
}
