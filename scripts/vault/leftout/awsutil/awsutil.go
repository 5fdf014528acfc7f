// SPDX-License-Identifier: MPL-2.0

// Package awsutil stands for a part of Amazon's client: the Agent of the small Vault does
// not sign in by aws.
package awsutil

import (
	"errors"

	"github.com/aws/aws-sdk-go/aws/credentials"
	"github.com/hashicorp/go-hclog"
)

var errLeftOut = errors.New("sign-in by aws is left out of the small Vault")

// DefaultRegion is the region where none is named.
const DefaultRegion = "us-east-1"

// RetrieveCreds is refused.
func RetrieveCreds(_, _, _ string, _ hclog.Logger) (*credentials.Credentials, error) {
	return nil, errLeftOut
}

// GenerateLoginData is refused.
func GenerateLoginData(
	*credentials.Credentials, string, string, hclog.Logger,
) (map[string]any, error) {
	return nil, errLeftOut
}
