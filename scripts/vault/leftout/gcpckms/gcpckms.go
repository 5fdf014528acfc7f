// SPDX-License-Identifier: MPL-2.0

// Package gcpckms stands for the seal that the small Vault leaves out.
package gcpckms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names that Vault looks up.
const (
	EnvGcpCkmsWrapperCredsPath   = "GOOGLE_CREDENTIALS"
	EnvGcpCkmsWrapperCryptoKey   = "GCPCKMS_WRAPPER_CRYPTO_KEY"
	EnvGcpCkmsWrapperKeyRing     = "GCPCKMS_WRAPPER_KEY_RING"
	EnvGcpCkmsWrapperLocation    = "GOOGLE_REGION"
	EnvGcpCkmsWrapperProject     = "GOOGLE_PROJECT"
	EnvVaultGcpCkmsSealCryptoKey = "VAULT_GCPCKMS_SEAL_CRYPTO_KEY"
	EnvVaultGcpCkmsSealKeyRing   = "VAULT_GCPCKMS_SEAL_KEY_RING"
)

var errLeftOut = errors.New("the gcpckms seal is left out of the small Vault")

// Wrapper refuses its configuration, so Vault does not start with this seal.
type Wrapper struct{}

// NewWrapper returns a Wrapper.
func NewWrapper() *Wrapper { return &Wrapper{} }

// Type is gcpckms.
func (*Wrapper) Type(context.Context) (wrapping.WrapperType, error) {
	return wrapping.WrapperTypeGcpCkms, nil
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
