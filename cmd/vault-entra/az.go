// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"os"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/azcli"
)

const azText = `
Answers what programs ask of the Azure CLI: a token, the account, the version.
It exits as az does: 1 where a command failed, 2 where it was not understood.

    $ vault-entra az -account ci account get-access-token

Azure's SDKs (AzureCliCredential, and those that try it in a chain) run az. A
link to this program by that name, in a folder that comes first in PATH,
answers them. VAULT_ENTRA_ACCOUNT and VAULT_ENTRA_MAP name account and map:

    $ mkdir -p ~/entra/bin
    $ ln -s "$(command -v vault-entra)" ~/entra/bin/az
    $ export PATH=~/entra/bin:$PATH VAULT_ENTRA_ACCOUNT=ci
    $ node app.mjs

The rest of az is not there, and is refused. The subscription that it names
is AZURE_SUBSCRIPTION_ID or ARM_SUBSCRIPTION_ID. Without one the account is of
the tenant alone.
`

func azCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "az",
		synopsis: "Answer as the Azure CLI does for a token",
		usage:    "az [options] account get-access-token [--resource URI]",
		text:     azText,
	})
	c.stopsAt1 = true
	var selected selection
	selected.define(c.flags)
	c.do = func(ctx context.Context, args []string) error {
		az := &azcli.CLI{
			Tokens:       azTokens{&selected},
			Subscription: firstSet("AZURE_SUBSCRIPTION_ID", "ARM_SUBSCRIPTION_ID"),
			Location:     time.Local,
			Out:          c.out,
			Err:          c.messages,
		}
		if code := az.Run(ctx, args); code != azcli.ExitOK {
			return exitCode(code) // the message is az's
		}
		return nil
	}
	return c
}

// firstSet is the value of the first variable that is not empty.
func firstSet(variables ...string) string {
	for _, name := range variables {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// azTokens are Vault's tokens as az prints them. Vault is looked for when one is asked for.
type azTokens struct{ selected *selection }

// Token is for a resource.
func (a azTokens) Token(ctx context.Context, resource string) (azcli.Token, error) {
	tokens, err := a.selected.open()
	if err != nil {
		return azcli.Token{}, err
	}
	token, err := tokens.Resource(ctx, resource)
	if err != nil {
		return azcli.Token{}, err
	}
	return azcli.Token{
		Access: token.AccessToken, Type: token.TokenType, Expiry: token.Expiry,
		TenantID: token.TenantID, Username: token.Username,
	}, nil
}
