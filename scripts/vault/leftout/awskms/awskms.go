// SPDX-License-Identifier: MPL-2.0

// Package awskms stands for the seal that the small Vault leaves out.
package awskms

import (
	"context"
	"errors"

	"github.com/hashicorp/go-hclog"
	wrapping "github.com/hashicorp/go-kms-wrapping/v2"
)

// Names that Vault looks up.
const (
	EnvAwsKmsWrapperKeyId   = "AWSKMS_WRAPPER_KEY_ID"
	EnvVaultAwsKmsSealKeyId = "VAULT_AWSKMS_SEAL_KEY_ID"
)

var errLeftOut = errors.New("the awskms seal is left out of the small Vault")

// Wrapper refuses its configuration, so Vault does not start with this seal.
type Wrapper struct{}

// NewWrapper returns a Wrapper.
func NewWrapper() *Wrapper { return &Wrapper{} }

// Type is awskms.
func (*Wrapper) Type(context.Context) (wrapping.WrapperType, error) {
	return wrapping.WrapperTypeAwsKms, nil
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

// WithLogger is for the Wrapper that is left out, and ignored by others.
func WithLogger(hclog.Logger) wrapping.Option {
	return func() any { return nil }
}

// WithDisallowEnvVars is for the Wrapper that is left out, and ignored by others.
func WithDisallowEnvVars(bool) wrapping.Option {
	return func() any { return nil }
}
