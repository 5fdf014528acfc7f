// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

const tokenText = `
Prints an access token of an account.

    $ vault-entra token ci
    $ vault-entra token ci -role graph
    $ vault-entra token ci -resource https://management.azure.com/

The account can also be given by -account or by a map. The resource is looked
up in the map; without one, the role is taken whose scopes are of that
resource, which needs a policy that lists and reads roles.

For curl, print the whole header:

    $ header=$(vault-entra token ci -format header)
    $ curl -H "$header" https://graph.microsoft.com/v1.0/me
`

func tokenCommand(std streams) *command {
	c := newCommand(std, manual{
		name:     "token",
		synopsis: "Print an access token",
		usage:    "token [options] [ACCOUNT]",
		text:     tokenText,
	})
	var selected selection
	var resource, scope, format string
	selected.define(c.flags)
	c.flags.text(&resource, "resource", "uri", "", "Resource that the token is for.")
	c.flags.text(&scope, "scope", "scope", "", "Scope that the token is for, instead of a resource.")
	c.flags.oneOf(&format, "format",
		"How to print the token: alone, with what Vault says of it, or as the header of a request.",
		"raw", "json", "header")
	c.do = func(ctx context.Context, args []string) error {
		if err := selected.takeAccount(args); err != nil {
			return err
		}
		if resource != "" && scope != "" {
			return usagef("-resource and -scope do not go together")
		}
		tokens, err := selected.open()
		if err != nil {
			return err
		}
		token, err := tokens.asked(ctx, resource, scope)
		if err != nil {
			return err
		}
		for _, warning := range token.Warnings {
			fmt.Fprintf(c.messages, "Warning: %s\n", warning)
		}
		return c.printToken(token, format)
	}
	return c
}

// asked is the token of a resource or a scope, or the default one if both are empty.
func (s *source) asked(ctx context.Context, resource, scope string) (*vaultclient.Token, error) {
	switch {
	case resource != "":
		return s.Resource(ctx, resource)
	case scope != "":
		return s.Scope(ctx, scope)
	}
	return s.Default(ctx)
}

// printedToken is a token as -format=json prints it: the fields of token/:account in docs/api.md.
type printedToken struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpireTime  string `json:"expire_time"`
	TTL         int64  `json:"ttl"` // seconds
	Scope       string `json:"scope"`
	TenantID    string `json:"tenant_id"`
	ClientID    string `json:"client_id"`
	Username    string `json:"username"`
	ObjectID    string `json:"object_id"`
	Path        string `json:"path"` // where Vault gave it
}

func (c *command) printToken(t *vaultclient.Token, format string) error {
	var err error
	switch format {
	case "json":
		return printJSON(c.out, printedToken{
			AccessToken: t.AccessToken, TokenType: t.TokenType,
			ExpireTime: t.Expiry.UTC().Format(time.RFC3339), TTL: int64(t.TTL / time.Second),
			Scope: t.Scope, TenantID: t.TenantID, ClientID: t.ClientID, Username: t.Username,
			ObjectID: t.ObjectID, Path: t.Target.Path(),
		})
	case "header":
		_, err = fmt.Fprintf(c.out, "Authorization: %s %s\n", t.TokenType, t.AccessToken)
	default:
		_, err = fmt.Fprintln(c.out, t.AccessToken)
	}
	return err
}
