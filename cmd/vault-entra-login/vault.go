// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"
)

// vaultClient speaks to the engine's mount.
type vaultClient struct {
	api   *api.Client
	mount string
}

// newVault finds Vault and a token as the vault command does: from the
// environment, else from the token helper.
func newVault(mount string) (*vaultClient, error) {
	client, err := api.NewClient(api.DefaultConfig())
	if err != nil {
		return nil, fmt.Errorf("client for Vault: %w", err)
	}
	if client.Token() == "" {
		helper, err := cliconfig.DefaultTokenHelper()
		if err != nil {
			return nil, fmt.Errorf("the token helper: %w", err)
		}
		token, err := helper.Get()
		if err != nil {
			return nil, fmt.Errorf("the token helper: %w", err)
		}
		client.SetToken(token)
	}
	if client.Token() == "" {
		return nil, errors.New("no Vault token: run vault login, or set VAULT_TOKEN")
	}
	return &vaultClient{api: client, mount: mount}, nil
}

// write sends data to a path of the mount. Vault's refusal is a refused, in the
// engine's own words.
func (v *vaultClient) write(ctx context.Context, path string,
	data map[string]any) (*api.Secret, error) {
	secret, err := v.api.Logical().WriteWithContext(ctx, v.mount+"/"+path, data)
	return secret, v.explain(ctx, secret, err)
}

func (v *vaultClient) read(ctx context.Context, path string) (*api.Secret, error) {
	secret, err := v.api.Logical().ReadWithContext(ctx, v.mount+"/"+path)
	return secret, v.explain(ctx, secret, err)
}

func (v *vaultClient) explain(ctx context.Context, secret *api.Secret, err error) error {
	var answer *api.ResponseError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &answer) && len(answer.Errors) > 0:
		return refused{errors.New(strings.Join(answer.Errors, "; "))}
	case errors.As(err, &answer):
		return refused{fmt.Errorf("status %d from Vault", answer.StatusCode)}
	case err != nil:
		return err
	case secret == nil:
		return refused{errors.New("no answer from Vault: is the mount right?")}
	}
	return nil
}

// text is a string of the answer, "" if it is not there.
func text(secret *api.Secret, name string) string {
	s, _ := secret.Data[name].(string)
	return s
}

func list(secret *api.Secret, name string) []string {
	items, _ := secret.Data[name].([]any)
	var out []string
	for _, item := range items {
		if s, ok := item.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// resultOf reads what callback/<account> answered.
func resultOf(secret *api.Secret) *result {
	return &result{
		Account:  text(secret, "account"),
		Username: text(secret, "username"),
		Name:     text(secret, "name"),
		ObjectID: text(secret, "object_id"),
		TenantID: text(secret, "tenant_id"),
		Scopes:   list(secret, "scopes"),
		Roles:    list(secret, "roles"),
		Warnings: secret.Warnings,
	}
}

// loginFields are what a login is asked with.
func loginFields(opts *options, redirectURI string) map[string]any {
	fields := map[string]any{"redirect_uri": redirectURI}
	if opts.roles != "" {
		fields["roles"] = opts.roles
	}
	return fields
}
