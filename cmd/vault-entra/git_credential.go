// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/gitcredential"
)

const gitCredentialText = `
Answers git as a credential helper: for Azure DevOps (dev.azure.com and
*.visualstudio.com) and for the hosts that the map names, over https alone.
Of other hosts git asks its other helpers. Nothing is stored.

    $ git config --global credential.helper \
        '!vault-entra git-credential -account ci'
    $ git clone https://dev.azure.com/contoso/tools/_git/build

A link to this program, git-credential-vault-entra on PATH, is the helper
vault-entra. Account and map then come from VAULT_ENTRA_ACCOUNT and
VAULT_ENTRA_MAP:

    $ ln -s "$(command -v vault-entra)" ~/bin/git-credential-vault-entra
    $ git config --global credential.helper vault-entra
`

func gitCredentialCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "git-credential",
		synopsis: "Answer git as a credential helper",
		usage:    "git-credential [options] get|store|erase",
		text:     gitCredentialText,
	})
	var selected selection
	selected.define(c.flags)
	c.do = func(ctx context.Context, args []string) error {
		action, err := one(args, "the action that git adds, such as get,")
		if err != nil {
			return err
		}
		return gitcredential.Run(ctx, gitCredentials{&selected}, action, c.in, c.out)
	}
	return c
}

// gitCredentials are Vault's tokens as git takes them. Vault is looked for when one is asked for.
type gitCredentials struct{ selected *selection }

// Credential is for the hosts that the source has a token for.
func (g gitCredentials) Credential(ctx context.Context,
	host string) (*gitcredential.Credential, error) {
	tokens, err := g.selected.open()
	if err != nil {
		return nil, err
	}
	token, err := tokens.GitHost(ctx, host)
	if err != nil || token == nil {
		return nil, err
	}
	return &gitcredential.Credential{
		Username: token.Username, Password: token.AccessToken, Expiry: token.Expiry,
	}, nil
}
