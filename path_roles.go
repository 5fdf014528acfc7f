// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	rolesPath         = "roles/"
	roleStoragePrefix = "role/"

	// cachedRoles bounds the roles kept in memory, by count.
	cachedRoles = 1024
)

// roleEntry is a named set of scopes for one resource.
type roleEntry struct {
	unknownFields

	Version int      `json:"version"`
	Scopes  []string `json:"scopes"`
}

func (b *backend) pathRoles() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      rolesPath + "?$",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback:     b.handleRoleList,
					Summary:      "List the roles.",
					DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "list", OperationSuffix: "roles"},
					Responses: map[int][]framework.Response{http.StatusOK: {{
						Description: http.StatusText(http.StatusOK),
						Fields: map[string]*framework.FieldSchema{
							"keys": {Type: framework.TypeStringSlice, Required: true, Description: "Names of the roles."},
						},
					}}},
				},
			},
			HelpSynopsis:    "List the roles of this mount.",
			HelpDescription: "Lists the names of all roles.",
		},
		{
			Pattern:      rolesPath + framework.GenericNameWithAtRegex("role"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
			Fields: map[string]*framework.FieldSchema{
				"role":   roleField(),
				"scopes": {Type: framework.TypeCommaStringSlice, Description: "Scopes of one resource, such as Mail.Read or https://management.azure.com//.default. Required."},
			},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ReadOperation: &framework.PathOperation{
					Callback:     b.handleRoleRead,
					Summary:      "Read a role.",
					DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "role"},
					Responses: map[int][]framework.Response{http.StatusOK: {{
						Description: http.StatusText(http.StatusOK),
						Fields: map[string]*framework.FieldSchema{
							"scopes": {Type: framework.TypeStringSlice, Required: true, Description: "Scopes of the role."},
						},
					}}},
				},
				logical.UpdateOperation: &framework.PathOperation{
					Callback:                    b.handleRoleWrite,
					Summary:                     "Create or update a role.",
					DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "write", OperationSuffix: "role"},
					ForwardPerformanceStandby:   true,
					ForwardPerformanceSecondary: true,
					Responses: map[int][]framework.Response{
						http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
					},
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback:                    b.handleRoleDelete,
					Summary:                     "Delete a role. Tokens that accounts hold for it are dropped when the account is next written.",
					DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "role"},
					ForwardPerformanceStandby:   true,
					ForwardPerformanceSecondary: true,
					Responses: map[int][]framework.Response{
						http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
					},
				},
			},
			HelpSynopsis:    "Manage a role: a named set of scopes for one resource.",
			HelpDescription: rolesHelp,
		},
	}
}

// roleField is the role's name in a path.
func roleField() *framework.FieldSchema {
	return &framework.FieldSchema{
		Type:        framework.TypeString,
		Description: "Name of the role in this mount. Case matters.",
		Required:    true,
	}
}

func (b *backend) handleRoleList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	names, err := req.Storage.List(ctx, roleStoragePrefix)
	if err != nil {
		return nil, fmt.Errorf("list roles: %w", err)
	}
	return logical.ListResponse(names), nil
}

func (b *backend) handleRoleRead(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	role, err := b.role(ctx, req.Storage, d.Get("role").(string))
	if err != nil || role == nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{"scopes": role.Scopes}}, nil
}

func (b *backend) handleRoleWrite(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	role := &roleEntry{Version: schemaVersion}
	if _, err := readEntry(ctx, req.Storage, roleStoragePrefix+name, role); err != nil {
		return nil, err
	}
	if v, ok := d.GetOk("scopes"); ok {
		role.Scopes = words(v.([]string))
	}
	if len(role.Scopes) == 0 {
		return nil, invalid("scopes: is required")
	}
	if err := entra.CheckScopes(role.Scopes); err != nil {
		return nil, invalid("scopes: %s", err)
	}
	defer b.roles.drop(name)
	return nil, writeEntry(ctx, req.Storage, roleStoragePrefix+name, role)
}

func (b *backend) handleRoleDelete(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("role").(string)
	defer b.roles.drop(name)
	if err := req.Storage.Delete(ctx, roleStoragePrefix+name); err != nil {
		return nil, fmt.Errorf("delete role %q: %w", name, err)
	}
	return nil, nil
}

// role returns a role from memory, else from storage; nil if there is none. It
// must not be changed.
func (b *backend) role(ctx context.Context, s logical.Storage, name string) (*roleEntry, error) {
	if role, ok := b.roles.get(name); ok {
		return role, nil
	}
	mark := b.roles.mark(name)
	role := &roleEntry{}
	found, err := readEntry(ctx, s, roleStoragePrefix+name, role)
	if err != nil {
		return nil, err
	}
	if !found {
		role = nil
	}
	b.roles.keep(name, role, mark)
	return role, nil
}

// roleScopes are the scopes of a role that a request names, or why there are none.
func (b *backend) roleScopes(ctx context.Context, s logical.Storage, name string) ([]string, error) {
	role, err := b.role(ctx, s, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, invalid("role: there is no role %q in this mount", name)
	}
	return role.Scopes, nil
}

const rolesHelp = `
A role names the scopes of one resource. token/<account>/<role> returns a token
for just these scopes, from the account's one sign-in; a policy on that path
grants one resource and nothing else.

Entra makes a token for one resource and does not mix .default with named
scopes; what it would refuse is refused here. Name roles at login/<account> to
have the person consent to them in the same sign-in.
`
