// SPDX-License-Identifier: MPL-2.0

// Package azidentity stands for Azure's client: the Agent of the small Vault does not
// sign in by azure from its environment.
package azidentity

import (
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

var errLeftOut = errors.New("sign-in by azure is left out of the small Vault")

// DefaultAzureCredential asks for tokens.
type DefaultAzureCredential struct{}

// NewDefaultAzureCredential is refused.
func NewDefaultAzureCredential(*struct{}) (*DefaultAzureCredential, error) {
	return nil, errLeftOut
}

// GetToken is refused.
func (*DefaultAzureCredential) GetToken(
	context.Context, policy.TokenRequestOptions,
) (policy.AccessToken, error) {
	return policy.AccessToken{}, errLeftOut
}
