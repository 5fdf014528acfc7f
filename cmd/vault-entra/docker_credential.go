// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/http"
	"strings"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/dockercredential"
)

const dockerCredentialText = `
Answers docker, podman and other programs as a credential helper, for
registries of Azure Container Registry (*.azurecr.io, .cn and .us) and those
that the map names. The registry changes Vault's token for one of its own.
Nothing is stored, and docker login is not needed.

docker runs docker-credential-vault-entra from PATH, a link to this program:

    $ ln -s "$(command -v vault-entra)" ~/bin/docker-credential-vault-entra
    $ cat ~/.docker/config.json
    {"credHelpers": {"contoso.azurecr.io": "vault-entra"}}

Account and map come from VAULT_ENTRA_ACCOUNT and VAULT_ENTRA_MAP.
`

func dockerCredentialCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "docker-credential",
		synopsis: "Answer docker as a credential helper",
		usage:    "docker-credential [options] get|list|store|erase|version",
		text:     dockerCredentialText,
	})
	var selected selection
	selected.define(c.flags)
	c.do = func(ctx context.Context, args []string) error {
		action, err := one(args, "the action that docker adds, such as get,")
		if err != nil {
			return err
		}
		helper := &dockercredential.Helper{
			Tokens:   &dockerTokens{selected: &selected},
			Exchange: dockercredential.NewExchange(http.DefaultTransport),
			Version:  version,
		}
		if err := helper.Run(ctx, action, c.in, c.out); err != nil {
			return exitCode(codeOf(err)) // docker has been told, on standard output
		}
		return nil
	}
	return c
}

// dockerTokens are Vault's tokens as registries take them. Vault is looked for when one is asked
// for.
type dockerTokens struct{ selected *selection }

// Token is for the registries that the source has a token for.
func (d *dockerTokens) Token(ctx context.Context,
	registry string) (*dockercredential.Token, error) {
	tokens, err := d.selected.open()
	if err != nil {
		return nil, err
	}
	token, err := tokens.Registry(ctx, registry)
	if err != nil || token == nil {
		return nil, err
	}
	return &dockercredential.Token{Access: token.AccessToken, TenantID: token.TenantID}, nil
}

// Registries are those that the map names without a star.
func (d *dockerTokens) Registries() ([]string, error) {
	m, err := d.selected.readMap()
	if err != nil || m == nil {
		return nil, err
	}
	var names []string
	for _, name := range m.Registries() {
		if !strings.HasPrefix(name, "*") {
			names = append(names, name)
		}
	}
	return names, nil
}
