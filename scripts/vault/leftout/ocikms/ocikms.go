// SPDX-License-Identifier: MPL-2.0

// Package ocikms stands for the seal that the small Vault leaves out.
package ocikms

import (
	"context"
	"errors"

	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names that Vault looks up.
const (
	EnvOciKmsWrapperCryptoEndpoint       = "OCIKMS_WRAPPER_CRYPTO_ENDPOINT"
	EnvOciKmsWrapperKeyId                = "OCIKMS_WRAPPER_KEY_ID"
	EnvOciKmsWrapperManagementEndpoint   = "OCIKMS_WRAPPER_MANAGEMENT_ENDPOINT"
	EnvVaultOciKmsSealCryptoEndpoint     = "VAULT_OCIKMS_CRYPTO_ENDPOINT"
	EnvVaultOciKmsSealKeyId              = "VAULT_OCIKMS_SEAL_KEY_ID"
	EnvVaultOciKmsSealManagementEndpoint = "VAULT_OCIKMS_MANAGEMENT_ENDPOINT"
	KmsConfigCryptoEndpoint              = "crypto_endpoint"
	KmsConfigKeyId                       = "key_id"
	KmsConfigManagementEndpoint          = "management_endpoint"
)

var errLeftOut = errors.New("the ocikms seal is left out of the small Vault")

// Wrapper refuses its configuration, so Vault does not start with this seal.
type Wrapper struct{}

// NewWrapper returns a Wrapper.
func NewWrapper() *Wrapper { return &Wrapper{} }

// Type is ocikms.
func (*Wrapper) Type(context.Context) (wrapping.WrapperType, error) {
	return wrapping.WrapperTypeOciKms, nil
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
