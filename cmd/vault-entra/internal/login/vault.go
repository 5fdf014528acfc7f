// SPDX-License-Identifier: MPL-2.0

package login

import (
	"context"

	"github.com/hashicorp/vault/api"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// start writes to login/<account> or device/<account>, after which Vault waits for the person.
func (s *signIn) start(ctx context.Context, what string,
	fields map[string]any) (*api.Secret, error) {
	return s.vault.Write(ctx, s.path(what), fields)
}

// startDevice begins a device code sign-in, which Vault may finish by itself from here on.
func (s *signIn) startDevice(ctx context.Context, fields map[string]any) (*api.Secret, error) {
	if ctx.Err() == nil {
		s.handedOver.Store(true)
	}
	return s.start(ctx, "device", fields)
}

// handOver gives Vault what the browser brought.
func (s *signIn) handOver(ctx context.Context, params map[string]any) (*Result, error) {
	if ctx.Err() == nil {
		s.handedOver.Store(true)
	}
	done, err := s.vault.Write(ctx, s.path("callback"), params)
	if err != nil {
		return nil, err
	}
	return &Result{
		Account:  vaultclient.Text(done, "account"),
		Username: vaultclient.Text(done, "username"),
		Name:     vaultclient.Text(done, "name"),
		ObjectID: vaultclient.Text(done, "object_id"),
		TenantID: vaultclient.Text(done, "tenant_id"),
		Scopes:   vaultclient.Strings(done, "scopes"),
		Roles:    vaultclient.Strings(done, "roles"),
		Warnings: done.Warnings,
	}, nil
}

func (s *signIn) path(what string) string { return s.Mount + "/" + what + "/" + s.Account }

// loginFields are what a login is asked with. A listener takes a form, so that no code stands in
// the browser's history; an address that a person pastes has to hold the code.
func (s *signIn) loginFields(redirectURI, responseMode string) map[string]any {
	fields := s.roleFields()
	fields["redirect_uri"], fields["response_mode"] = redirectURI, responseMode
	return fields
}

func (s *signIn) roleFields() map[string]any {
	fields := map[string]any{}
	if s.Roles != "" {
		fields["roles"] = s.Roles
	}
	return fields
}

// refused ends a sign-in that Vault did not refuse in words of its own.
func refused(text string) error { return vaultclient.Errorf(vaultclient.Failed, "%s", text) }
