// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const accountPath = "account/"

func (b *backend) pathAccount() []*framework.Path {
	return []*framework.Path{
		{
			Pattern:      accountPath + "?$",
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.ListOperation: &framework.PathOperation{
					Callback:                    b.handleAccountList,
					Summary:                     "List the accounts.",
					DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "list", OperationSuffix: "accounts"},
					ForwardPerformanceStandby:   true,
					ForwardPerformanceSecondary: true,
					Responses: map[int][]framework.Response{http.StatusOK: {{
						Description: http.StatusText(http.StatusOK),
						Fields: map[string]*framework.FieldSchema{
							"keys":     {Type: framework.TypeStringSlice, Required: true, Description: "Names of the accounts."},
							"key_info": {Type: framework.TypeMap, Description: "Per account: state, username, expire_time of the held token."},
						},
					}}},
				},
			},
			HelpSynopsis:    "List the accounts of this mount.",
			HelpDescription: "Lists the names of all accounts, signed in or not, with state, username and expire_time of each.",
		},
		{
			Pattern:      accountPath + framework.GenericNameWithAtRegex("account"),
			DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
			Fields:       accountUpdateFields(),
			Operations: map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: &framework.PathOperation{
					Callback:                    b.handleAccountUpdate,
					Summary:                     "Switch an account off or on, note metadata, or pin it before its first login.",
					DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "update", OperationSuffix: "account"},
					ForwardPerformanceStandby:   true,
					ForwardPerformanceSecondary: true,
					Responses: map[int][]framework.Response{
						http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
					},
				},
				logical.ReadOperation: &framework.PathOperation{
					Callback:     b.handleAccountRead,
					Summary:      "Read the status of an account; no secret is returned.",
					DisplayAttrs: &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "account"},
					// What is remembered of failures is in memory on the active node.
					ForwardPerformanceStandby: true,
					Responses: map[int][]framework.Response{http.StatusOK: {{
						Description: http.StatusText(http.StatusOK),
						Fields:      accountResponseFields(),
					}}},
				},
				logical.DeleteOperation: &framework.PathOperation{
					Callback:                    b.handleAccountDelete,
					Summary:                     "Delete an account with every token, its pin and its pending logins. Nothing is revoked at Entra.",
					DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "delete", OperationSuffix: "account"},
					ForwardPerformanceStandby:   true,
					ForwardPerformanceSecondary: true,
					Responses: map[int][]framework.Response{
						http.StatusNoContent: {{Description: http.StatusText(http.StatusNoContent)}},
					},
				},
			},
			HelpSynopsis:    "Read the status of an account, update or delete it.",
			HelpDescription: accountHelp,
		},
	}
}

func accountUpdateFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account":   accountField(),
		"disabled":  {Type: framework.TypeBool, Description: "true serves nothing of this account and loses nothing; false serves it again."},
		"metadata":  {Type: framework.TypeKVPairs, Description: "Operators' notes; replaces what was there. 64 pairs at most, keys of 128 bytes, values of 512."},
		"username":  {Type: framework.TypeString, Description: "Before the first login: only the user with this preferred_username may sign in. \"\" takes it back."},
		"object_id": {Type: framework.TypeString, Description: "Before the first login: only the user with this oid may sign in. \"\" takes it back."},
	}
}

func accountResponseFields() map[string]*framework.FieldSchema {
	field := func(t framework.FieldType, description string) *framework.FieldSchema {
		return &framework.FieldSchema{Type: t, Required: true, Description: description}
	}
	return map[string]*framework.FieldSchema{
		"state":              field(framework.TypeString, "active, login_required, access_denied, login_pending or disabled."),
		"username":           field(framework.TypeString, "Username of the user who signed in."),
		"name":               field(framework.TypeString, "Display name of that user."),
		"object_id":          field(framework.TypeString, "Object ID (oid) of that user; sub where the provider has none."),
		"tenant_id":          field(framework.TypeString, "Tenant ID (tid) of that user; else the configured one."),
		"client_id":          field(framework.TypeString, "Client that the refresh token belongs to."),
		"scopes":             field(framework.TypeStringSlice, "Scopes of token/<account>."),
		"roles":              field(framework.TypeMap, "Per role: scopes, expire_time, last_refresh_time, login_required (why, where only this role is refused)."),
		"created_time":       field(framework.TypeString, "When the account began, RFC 3339."),
		"login_time":         field(framework.TypeString, "When the user last signed in, RFC 3339."),
		"login_requested_by": field(framework.TypeString, "Who asked for that sign-in."),
		"last_refresh_time":  field(framework.TypeString, "When Entra last gave a token, RFC 3339."),
		"last_error":         field(framework.TypeMap, "The latest failed refresh, until one works: class, code, suberror, message, correlation_id, time."),
		"idle_expire_time":   field(framework.TypeString, "When inactivity would end the refresh token, RFC 3339."),
		"expire_time":        field(framework.TypeString, "When the held token of token/<account> expires, RFC 3339."),
		"pinned":             field(framework.TypeBool, "Whether it is settled who may sign in."),
		"metadata":           field(framework.TypeKVPairs, "Operators' notes."),
		"disabled":           field(framework.TypeBool, "Whether the account is switched off."),
	}
}

func (b *backend) handleAccountList(ctx context.Context, req *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	cfg, err := getConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	names, complete := b.index.names()
	if !complete {
		if names, err = b.accounts.list(ctx, req.Storage); err != nil {
			return nil, err
		}
	}
	resp := logical.ListResponseWithInfo(names, b.index.keyInfo(names, cfg, time.Now()))
	if !complete {
		resp.AddWarning("key_info is incomplete: the index is still being built")
	}
	return resp, nil
}

func (b *backend) handleAccountRead(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	account := d.Get("account").(string)
	e, err := b.accounts.get(ctx, req.Storage, account)
	if err != nil || e == nil {
		return nil, err
	}
	cfg, err := getConfig(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	roles, err := b.rolesStatus(ctx, req.Storage, e)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"state":              e.state(cfg, time.Now()),
		"username":           e.User.Username,
		"name":               e.User.Name,
		"object_id":          e.objectID(),
		"tenant_id":          e.tenantID(),
		"client_id":          e.ClientID,
		"scopes":             list(e.wanted(cfg)),
		"roles":              roles,
		"created_time":       formatTime(e.CreatedTime),
		"login_time":         formatTime(e.LoginTime),
		"login_requested_by": e.LoginRequestedBy,
		"last_refresh_time":  formatTime(e.LastRefreshTime),
		"last_error":         b.lastError(account, e).status(),
		"idle_expire_time":   formatTime(e.idleExpiry()),
		"expire_time":        formatTime(e.status().tokenExpiry),
		"pinned":             e.pinned(),
		"metadata":           pairs(e.Metadata),
		"disabled":           e.Disabled,
	}}, nil
}

// rolesStatus is what the account has for each role: those consented to, and
// those that a reader was refused.
func (b *backend) rolesStatus(ctx context.Context, s logical.Storage, e *accountEntry) (map[string]any, error) {
	names := slices.Clone(e.Roles)
	for name := range e.Refusals {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	status := map[string]any{}
	for _, name := range names {
		role, err := b.role(ctx, s, name)
		if err != nil {
			return nil, err
		}
		if role == nil {
			continue
		}
		of := map[string]any{"scopes": role.Scopes, "expire_time": "", "last_refresh_time": "", "login_required": ""}
		if t := e.held(name, role.Scopes); t != nil {
			of["expire_time"], of["last_refresh_time"] = formatTime(t.Expiry), formatTime(t.ObtainedAt)
		}
		if r := e.Refusals[name]; r != nil && r.word() == loginRequired {
			of["login_required"] = r.reason()
		}
		status[name] = of
	}
	return status, nil
}

// lastError is the latest failure: stored, or remembered since it is transient.
func (b *backend) lastError(account string, e *accountEntry) *refusal {
	last := b.refreshes.failures.last(account)
	if last == nil || e.LastError != nil && e.LastError.Time.After(last.Time) {
		return e.LastError
	}
	return last
}

// status is the refusal as the account's status shows it; empty for none.
func (r *refusal) status() map[string]any {
	if r == nil {
		return map[string]any{}
	}
	return map[string]any{
		"class":          string(r.Class),
		"code":           r.code(),
		"suberror":       r.Suberror,
		"message":        r.Message,
		"correlation_id": r.CorrelationID,
		"time":           formatTime(r.Time),
	}
}

// handleAccountUpdate begins an account that is not there yet: an operator pins
// it, and a login follows.
func (b *backend) handleAccountUpdate(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	account := d.Get("account").(string)
	_, err := b.accounts.update(ctx, req.Storage, account, func(e *accountEntry) (*accountEntry, error) {
		if e == nil {
			e = newAccountEntry(time.Now())
		}
		if f := e.apply(d); f != nil {
			return nil, f
		}
		return e, nil
	})
	return nil, err
}

// apply takes over the fields that an operator may set.
func (e *accountEntry) apply(d *framework.FieldData) *fault {
	if v, ok := d.GetOk("disabled"); ok {
		e.Disabled = v.(bool)
	}
	if v, ok := d.GetOk("metadata"); ok {
		e.Metadata = v.(map[string]string)
		if f := checkMetadata(e.Metadata); f != nil {
			return f
		}
	}
	for name, pin := range map[string]*string{"username": &e.Pin.Username, "object_id": &e.Pin.ObjectID} {
		v, ok := d.GetOk(name)
		if !ok {
			continue
		}
		if (e.Pin.User != entra.Identity{}) {
			return invalid("%s: the account is pinned to %s since it signed in; delete the account to hand it over", name, e.Pin.User.Username)
		}
		*pin = strings.TrimSpace(v.(string))
	}
	return nil
}

// checkMetadata holds metadata to the limits of Vault's own identity metadata:
// it is part of the account's one storage entry.
func checkMetadata(pairs map[string]string) *fault {
	if len(pairs) > 64 {
		return invalid("metadata: at most 64 pairs, got %d", len(pairs))
	}
	for key, value := range pairs {
		if len(key) > 128 || len(value) > 512 {
			return invalid("metadata: keys are at most 128 bytes and values 512")
		}
	}
	return nil
}

func (b *backend) handleAccountDelete(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	account := d.Get("account").(string)
	if err := b.accounts.delete(ctx, req.Storage, account); err != nil {
		return nil, err
	}
	b.refreshes.forgetAccount(account)
	return nil, nil
}

const accountHelp = `
A read returns who signed in, when, what is held and what went wrong last. No
answer holds a secret.

An update with disabled=true is the kill switch: nothing is served any more, and
nothing is lost. username or object_id pin an account before its first login; an
account that is not there yet is begun.

A delete removes every token, the pin and the pending logins. It revokes nothing
at Entra: an administrator does that there (revoke sign-in sessions).
`
