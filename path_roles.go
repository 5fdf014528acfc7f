// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/config"
)

const rolesPath = "roles/"

func (b *backend) pathRoles() []*framework.Path {
	return []*framework.Path{
		path(rolesPath+"?$", nil, map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: operation(b.handleRoleList, "list", "roles", "List the roles.",
				answers(map[string]*framework.FieldSchema{
					"keys": answer(framework.TypeStringSlice, "Names of the roles."),
				})),
		}, "List the roles of this mount.", "Lists the names of all roles."),

		path(rolesPath+framework.GenericNameWithAtRegex("role"), map[string]*framework.FieldSchema{
			"role": roleField(),
			"scopes": field(framework.TypeCommaStringSlice, "Scopes of one resource, such as "+
				"Mail.Read or https://management.azure.com//.default. Required."),
			"lease": field(framework.TypeBool, "Reads of token/:account/:role carry a lease, for "+
				"clients that know nothing else. It cannot be renewed, lasts as long as the "+
				"token, and costs storage writes at every read. Off by default."),
		}, map[logical.Operation]framework.OperationHandler{
			logical.ReadOperation: operation(b.handleRoleRead, "read", "role", "Read a role.",
				answers(map[string]*framework.FieldSchema{
					"scopes": answer(framework.TypeStringSlice, "Scopes of the role."),
					"lease":  answer(framework.TypeBool, "Whether reads of its tokens carry a lease."),
				})),
			logical.UpdateOperation: forwarded(operation(b.handleRoleWrite, "write", "role",
				"Create or update a role.", noContent())),
			logical.DeleteOperation: forwarded(operation(b.handleRoleDelete, "delete", "role",
				"Delete a role. Tokens that accounts hold for it are dropped when the account "+
					"is next written.", noContent())),
		}, "Manage a role: a named set of scopes for one resource.", rolesHelp),
	}
}

func (b *backend) handleRoleList(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := b.config.Roles.List(ctx)
	if err != nil {
		return nil, err
	}
	return logical.ListResponse(names), nil
}

func (b *backend) handleRoleRead(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	role, err := b.config.Roles.Get(ctx, d.Get("role").(string))
	if err != nil || role == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"scopes": role.Scopes, "lease": role.Lease,
	}}, nil
}

func (b *backend) handleRoleWrite(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	cfg, err := b.config.Entry(ctx)
	if err != nil {
		return nil, err
	}
	var scopes []string
	err = b.config.Roles.Write(ctx, cfg, d.Get("role").(string), func(role *config.Role) {
		if v, ok := d.GetOk("scopes"); ok {
			scopes = words(v.([]string))
			role.Scopes = scopes
		}
		if v, ok := d.GetOk("lease"); ok {
			role.Lease = v.(bool)
		}
	})
	if err != nil || cfg == nil {
		return nil, err
	}
	return warning(cfg.OwnAPIWarning(scopes)), nil
}

func (b *backend) handleRoleDelete(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.config.Roles.Delete(ctx, d.Get("role").(string))
}

const rolesHelp = `
A role names the scopes of one resource. token/<account>/<role> returns a token
for just these scopes, from the account's one sign-in; a policy on that path
grants one resource and nothing else.

Entra makes a token for one resource and does not mix .default with named
scopes; what it would refuse is refused here. Name roles at login/<account> to
have the person consent to them in the same sign-in.

lease=true is for clients that act on Vault's leases and on nothing else. The
lease ends with the token and cannot be renewed; its revocation, or the end of
the reader's own Vault token, ends neither the token nor the account.
`
