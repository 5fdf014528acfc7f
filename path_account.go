// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/account"
	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

const accountPath = "account/"

func (b *backend) pathAccount() []*framework.Path {
	return []*framework.Path{
		path(accountPath+"?$", nil, map[logical.Operation]framework.OperationHandler{
			logical.ListOperation: forwarded(operation(b.handleAccountList, "list", "accounts",
				"List the accounts.", answers(map[string]*framework.FieldSchema{
					"keys": answer(framework.TypeStringSlice, "Names of the accounts."),
					"key_info": field(framework.TypeMap,
						"Per account: state, username, expire_time of the held token."),
				}))),
		}, "List the accounts of this mount.", "Lists the names of all accounts, signed in or not, "+
			"with state, username and expire_time of each."),

		path(accountPath+framework.GenericNameWithAtRegex("account"), accountUpdateFields(),
			map[logical.Operation]framework.OperationHandler{
				logical.UpdateOperation: forwarded(operation(b.handleAccountUpdate, "update", "account",
					"Switch an account off or on, note metadata, or pin it before its first login.",
					noContent())),
				// What is remembered of failures is in memory on the active node.
				logical.ReadOperation: fromActiveNode(operation(b.handleAccountRead, "read", "account",
					"Read the status of an account; no secret is returned.",
					answers(accountResponseFields()))),
				logical.DeleteOperation: forwarded(operation(b.handleAccountDelete, "delete", "account",
					"Delete an account with every token, its pin and its pending logins. "+
						"Nothing is revoked at Entra.", noContent())),
			}, "Read the status of an account, update or delete it.", accountHelp),
	}
}

func accountUpdateFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"account": accountField(),
		"disabled": field(framework.TypeBool, "true serves nothing of this account and loses "+
			"nothing; false serves it again."),
		"metadata": field(framework.TypeKVPairs, "Operators' notes; replaces what was there. "+
			"64 pairs at most, keys of 128 bytes, values of 512."),
		"username": field(framework.TypeString, "Before the first login: only the user with this "+
			"preferred_username may sign in. \"\" takes it back."),
		"object_id": field(framework.TypeString, "Before the first login: only the user with this "+
			"oid may sign in. \"\" takes it back."),
	}
}

func accountResponseFields() map[string]*framework.FieldSchema {
	return map[string]*framework.FieldSchema{
		"state": answer(framework.TypeString,
			"active, login_required, access_denied, login_pending or disabled."),
		"username": answer(framework.TypeString, "Username of the user who signed in."),
		"name":     answer(framework.TypeString, "Display name of that user."),
		"object_id": answer(framework.TypeString,
			"Object ID (oid) of that user; sub where the provider has none."),
		"tenant_id": answer(framework.TypeString,
			"Tenant ID (tid) of that user; else the configured one."),
		"client_id": answer(framework.TypeString, "Client that the refresh token belongs to."),
		"scopes":    answer(framework.TypeStringSlice, "Scopes of token/<account>."),
		"roles": answer(framework.TypeMap, "Per role: scopes, expire_time, last_refresh_time, "+
			"login_required (why, where only this role is refused)."),
		"created_time":       answer(framework.TypeString, "When the account began, RFC 3339."),
		"login_time":         answer(framework.TypeString, "When the user last signed in, RFC 3339."),
		"login_requested_by": answer(framework.TypeString, "Who asked for that sign-in."),
		"last_refresh_time":  answer(framework.TypeString, "When Entra last gave a token, RFC 3339."),
		"last_error": answer(framework.TypeMap, "The latest failed refresh, until one works: "+
			"class, code, suberror, message, correlation_id, time."),
		"idle_expire_time": answer(framework.TypeString,
			"When inactivity would end the refresh token, RFC 3339."),
		"expire_time": answer(framework.TypeString,
			"When the held token of token/<account> expires, RFC 3339."),
		"pinned":   answer(framework.TypeBool, "Whether it is settled who may sign in."),
		"metadata": answer(framework.TypeKVPairs, "Operators' notes."),
		"disabled": answer(framework.TypeBool, "Whether the account is switched off."),
	}
}

func (b *backend) handleAccountList(ctx context.Context, _ *logical.Request, _ *framework.FieldData) (*logical.Response, error) {
	cfg, err := b.config.Entry(ctx)
	if err != nil {
		return nil, err
	}
	names, complete := b.accounts.Index.Names()
	if !complete {
		if names, err = b.accounts.List(ctx); err != nil {
			return nil, err
		}
	}
	info := make(map[string]any, len(names))
	b.accounts.Index.Each(names, cfg, time.Now(), func(name string, i account.Info) {
		info[name] = map[string]any{
			"state":       i.State,
			"username":    i.Username,
			"expire_time": formatTime(i.ExpireTime),
		}
	})
	resp := logical.ListResponseWithInfo(names, info)
	if !complete {
		resp.AddWarning("key_info is incomplete: the index is still being built")
	}
	return resp, nil
}

func (b *backend) handleAccountRead(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("account").(string)
	e, err := b.accounts.Get(ctx, name)
	if err != nil || e == nil {
		return nil, err
	}
	cfg, err := b.config.Entry(ctx)
	if err != nil {
		return nil, err
	}
	roles, err := b.rolesStatus(ctx, e)
	if err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"state":              e.State(cfg, time.Now()),
		"username":           e.User.Username,
		"name":               e.User.Name,
		"object_id":          e.ObjectID(),
		"tenant_id":          e.TenantID(),
		"client_id":          e.ClientID,
		"scopes":             list(e.EffectiveScopes(cfg)),
		"roles":              roles,
		"created_time":       formatTime(e.CreatedTime),
		"login_time":         formatTime(e.LoginTime),
		"login_requested_by": e.LoginRequestedBy,
		"last_refresh_time":  formatTime(e.LastRefreshTime),
		"last_error":         errorStatus(b.refreshes.LastError(name, e)),
		"idle_expire_time":   formatTime(e.IdleExpiry()),
		"expire_time":        formatTime(e.Status().TokenExpiry),
		"pinned":             e.Pinned(),
		"metadata":           pairs(e.Metadata),
		"disabled":           e.Disabled,
	}}, nil
}

// rolesStatus is what the account has for each role: those consented to, and those
// that a reader was refused.
func (b *backend) rolesStatus(ctx context.Context, e *account.Entry) (map[string]any, error) {
	names := slices.Clone(e.Roles)
	for name := range e.TokenErrors {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	status := map[string]any{}
	for _, name := range names {
		role, err := b.config.Roles.Get(ctx, name)
		if err != nil {
			return nil, err
		}
		if role == nil {
			continue
		}
		of := map[string]any{
			"scopes": role.Scopes, "expire_time": "", "last_refresh_time": "", "login_required": "",
		}
		if t := e.Token(name, role.Scopes); t != nil {
			of["expire_time"], of["last_refresh_time"] = formatTime(t.Expiry), formatTime(t.ObtainedAt)
		}
		if r := e.TokenErrors[name]; r != nil && r.ProblemCode() == problem.LoginRequired {
			of["login_required"] = r.Reason()
		}
		status[name] = of
	}
	return status, nil
}

// errorStatus is a failed refresh as the account's status shows it; empty for none.
func errorStatus(r *account.RefreshError) map[string]any {
	if r == nil {
		return map[string]any{}
	}
	return map[string]any{
		"class":          string(r.Class),
		"code":           r.EntraCode(),
		"suberror":       r.Suberror,
		"message":        r.Message,
		"correlation_id": r.CorrelationID,
		"time":           formatTime(r.Time),
	}
}

// handleAccountUpdate changes an account. One that is not there yet begins with a pin, and
// with nothing else: a name that was mistyped must not pass for one that was switched off.
func (b *backend) handleAccountUpdate(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	name := d.Get("account").(string)
	_, err := b.accounts.Update(ctx, name, func(e *account.Entry) (*account.Entry, error) {
		isNew := e == nil
		if isNew {
			e = account.NewEntry(time.Now())
		}
		err := applyAccountFields(e, d)
		if err == nil && isNew && !e.Pinned() {
			err = problem.NoAccount(name)
		}
		return e, err
	})
	return nil, err
}

// applyAccountFields takes over the fields that an operator may set.
func applyAccountFields(e *account.Entry, d *framework.FieldData) error {
	if v, ok := d.GetOk("disabled"); ok {
		e.Disabled = v.(bool)
	}
	if v, ok := d.GetOk("metadata"); ok {
		e.Metadata = v.(map[string]string)
		if err := checkMetadata(e.Metadata); err != nil {
			return err
		}
	}
	pins := map[string]*string{"username": &e.Pin.Username, "object_id": &e.Pin.ObjectID}
	for name, pin := range pins {
		v, ok := d.GetOk(name)
		if !ok {
			continue
		}
		if (e.Pin.User != entra.Identity{}) {
			return problem.Invalid("%s: the account is pinned to %s since it signed in; "+
				"delete the account to hand it over", name, e.Pin.User.Username)
		}
		*pin = strings.TrimSpace(v.(string))
	}
	return nil
}

// checkMetadata holds metadata to the limits of Vault's own identity metadata: it is
// part of the account's one storage entry.
func checkMetadata(pairs map[string]string) error {
	if len(pairs) > 64 {
		return problem.Invalid("metadata: at most 64 pairs, got %d", len(pairs))
	}
	for key, value := range pairs {
		if len(key) > 128 || len(value) > 512 {
			return problem.Invalid("metadata: keys are at most 128 bytes and values 512")
		}
	}
	return nil
}

func (b *backend) handleAccountDelete(ctx context.Context, _ *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	return nil, b.accounts.Delete(ctx, d.Get("account").(string))
}

const accountHelp = `
A read returns who signed in, when, what is held and what went wrong last. No
answer holds a secret.

An update with disabled=true is the kill switch: nothing is served any more, and
nothing is lost. username or object_id pin an account before its first login; with
one of them an account that is not there yet is begun.

A delete removes every token, the pin and the pending logins. It revokes nothing
at Entra: an administrator does that there (revoke sign-in sessions).
`
