// SPDX-License-Identifier: MPL-2.0

// Package azurekeyvault stands for the seal that the small Vault leaves out.
package azurekeyvault

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names that Vault looks up.
const (
	EnvAzureKeyVaultWrapperKeyName   = "AZUREKEYVAULT_WRAPPER_KEY_NAME"
	EnvAzureKeyVaultWrapperVaultName = "AZUREKEYVAULT_WRAPPER_VAULT_NAME"
	EnvVaultAzureKeyVaultKeyName     = "VAULT_AZUREKEYVAULT_KEY_NAME"
	EnvVaultAzureKeyVaultVaultName   = "VAULT_AZUREKEYVAULT_VAULT_NAME"
)

var errLeftOut = errors.New("the azurekeyvault seal is left out of the small Vault")

// Wrapper refuses its configuration, so Vault does not start with this seal.
type Wrapper struct{}

// NewWrapper returns a Wrapper.
func NewWrapper() *Wrapper { return &Wrapper{} }

// Type is azurekeyvault.
func (*Wrapper) Type(context.Context) (wrapping.WrapperType, error) {
	return wrapping.WrapperTypeAzureKeyVault, nil
}

// KeyId is refused.
func (*Wrapper) KeyId(context.Context) (string, error) { return "", errLeftOut }

// SetConfig is refused.
func (*Wrapper) SetConfig(
	context.Context, ...wrapping.Option,
) (*wrapping.WrapperConfig, error) {
	return nil, errLeftOut
}

// Encrypt is refused.
func (*Wrapper) Encrypt(
	context.Context, []byte, ...wrapping.Option,
) (*wrapping.BlobInfo, error) {
	return nil, errLeftOut
}

// Decrypt is refused.
func (*Wrapper) Decrypt(
	context.Context, *wrapping.BlobInfo, ...wrapping.Option,
) ([]byte, error) {
	return nil, errLeftOut
}

// WithDisallowEnvVars is for the Wrapper that is left out, and ignored by others.
func WithDisallowEnvVars(bool) wrapping.Option {
	return func() any { return nil }
}
