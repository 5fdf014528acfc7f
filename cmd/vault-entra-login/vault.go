// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/cliconfig"
)

// vaultClient speaks to the engine's mount.
type vaultClient struct {
	api   *api.Client
	mount string

	// handedOver says that Vault has what it needs to finish the sign-in by itself.
	handedOver *atomic.Bool
}

// newVault finds Vault and a token as the vault command does: from the
// environment, else from the token helper. Without a token Vault is asked all
// the same: a Vault Agent's auto-auth adds one on the way.
func newVault(mount string, handedOver *atomic.Bool) (*vaultClient, error) {
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
	return &vaultClient{api: client, mount: mount, handedOver: handedOver}, nil
}

// write sends data to a path of the mount. Vault's refusal is a refused, in the
// engine's own words.
func (v *vaultClient) write(ctx context.Context, path string,
	data map[string]any) (*api.Secret, error) {
	if !strings.HasPrefix(path, "login/") && ctx.Err() == nil {
		v.handedOver.Store(true)
	}
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
	case errors.As(err, &answer) && v.api.Token() == "" && wantsToken(answer):
		return errors.New("no Vault token: run vault login, or set VAULT_TOKEN")
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

// wantsToken reports whether Vault refused a request because it bore no token. A Vault of today
// says "permission denied", an older one that the token is missing.
func wantsToken(answer *api.ResponseError) bool {
	return answer.StatusCode == http.StatusForbidden ||
		slices.ContainsFunc(answer.Errors, func(text string) bool {
			return strings.Contains(text, "missing client token")
		})
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

// loginFields are what a login is asked with. A listener takes a form, so that no code stands in
// the browser's history; an address that a person pastes has to hold the code.
func loginFields(opts *options, redirectURI, responseMode string) map[string]any {
	fields := map[string]any{"redirect_uri": redirectURI, "response_mode": responseMode}
	if opts.roles != "" {
		fields["roles"] = opts.roles
	}
	return fields
}
