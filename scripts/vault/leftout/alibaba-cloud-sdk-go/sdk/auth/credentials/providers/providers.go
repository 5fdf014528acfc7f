// SPDX-License-Identifier: MPL-2.0

// Package providers stands for the search for Alibaba's credentials: the Agent of the
// small Vault does not sign in by alicloud.
package providers

import (
	"errors"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
)

// Configuration is where to look.
type Configuration struct {
	AccessKeyID, AccessKeySecret, AccessKeyStsToken string
	RoleArn, RoleSessionName, RoleName              string
	PrivateKey, PublicKeyID                         string
	RoleSessionExpiration, SessionExpiration        *int
}

// Provider finds a credential.
type Provider interface {
	Retrieve() (auth.Credential, error)
}

type leftOut struct{}

func (leftOut) Retrieve() (auth.Credential, error) {
	return nil, errors.New("sign-in by alicloud is left out of the small Vault")
}

// NewEnvCredentialProvider finds nothing.
func NewEnvCredentialProvider() Provider { return leftOut{} }

// NewConfigurationCredentialProvider finds nothing.
func NewConfigurationCredentialProvider(*Configuration) Provider { return leftOut{} }

// NewInstanceMetadataProvider finds nothing.
func NewInstanceMetadataProvider() Provider { return leftOut{} }

// NewChainProvider finds nothing.
func NewChainProvider([]Provider) Provider { return leftOut{} }
