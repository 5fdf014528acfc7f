// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"os"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/execcredential"
)

const kubectlCredentialText = `
Answers kubectl, helm and other programs of client-go as a credential plugin,
for clusters that take tokens of Entra, such as Azure Kubernetes Service:

    users:
    - name: aks
      user:
        exec:
          apiVersion: client.authentication.k8s.io/v1
          command: vault-entra
          args: [kubectl-credential, -account, ci, -role, aks]
          interactiveMode: Never

Without -role, the token is for -resource, by the map or by the roles' scopes.
`

func kubectlCredentialCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "kubectl-credential",
		synopsis: "Answer kubectl as a credential plugin",
		usage:    "kubectl-credential [options]",
		text:     kubectlCredentialText,
	})
	var selected selection
	var resource string
	selected.define(c.flags)
	c.flags.text(&resource, "resource", "uri", execcredential.AKS,
		"Resource that the cluster's tokens are for. The default is that of Azure Kubernetes "+
			"Service, "+execcredential.AKS+".")
	c.do = func(ctx context.Context, args []string) error {
		if err := none(args); err != nil {
			return err
		}
		version, err := execcredential.Version(os.Getenv(execcredential.InfoVariable))
		if err != nil {
			return err
		}
		tokens, err := selected.open()
		if err != nil {
			return err
		}
		token, err := tokens.Resource(ctx, resource)
		if err != nil {
			return err
		}
		// When Vault has another, which is before this one ends.
		until := time.Now().Add(token.TTL)
		if token.Expiry.Before(until) {
			until = token.Expiry
		}
		return execcredential.Write(c.out, version, token.AccessToken, until)
	}
	return c
}
