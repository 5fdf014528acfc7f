// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/hashicorp/go-azure-sdk/sdk/auth"
	"github.com/hashicorp/go-azure-sdk/sdk/environments"
)

// credentials are the credentials by the name of their library and type.
var credentials = map[string]func() (credential, error){
	"azidentity.ManagedIdentityCredential": func() (credential, error) {
		return azidentityToken(azidentity.NewManagedIdentityCredential(nil))
	},
	"azidentity.AzureCLICredential": func() (credential, error) {
		return azidentityToken(azidentity.NewAzureCLICredential(nil))
	},
	"azidentity.DefaultAzureCredential": func() (credential, error) {
		return azidentityToken(azidentity.NewDefaultAzureCredential(nil))
	},
	"go-azure-sdk.ManagedIdentityAuthorizer": func() (credential, error) {
		return authorizerToken(func(ctx context.Context, api environments.Api) (auth.Authorizer, error) {
			// As the azurerm provider has it from its environment.
			return auth.NewManagedIdentityAuthorizer(ctx, auth.ManagedIdentityAuthorizerOptions{
				Api: api, CustomManagedIdentityEndpoint: os.Getenv("ARM_MSI_ENDPOINT"),
			})
		}), nil
	},
	"go-azure-sdk.AzureCliAuthorizer": func() (credential, error) {
		return authorizerToken(func(ctx context.Context, api environments.Api) (auth.Authorizer, error) {
			return auth.NewAzureCliAuthorizer(ctx, auth.AzureCliAuthorizerOptions{Api: api})
		}), nil
	},
}

func azidentityToken(from azcore.TokenCredential, err error) (credential, error) {
	return func(ctx context.Context, resource string) (answer, error) {
		token, err := from.GetToken(ctx, policy.TokenRequestOptions{
			Scopes: []string{resource + "/.default"},
		})
		if err != nil {
			return answer{}, err
		}
		return answer{Token: token.Token, ExpiresOn: token.ExpiresOn.Unix()}, nil
	}, err
}

// authorizerToken makes an authorizer for each call: one keeps its token until the token expires,
// and no call would come here before.
func authorizerToken(
	construct func(context.Context, environments.Api) (auth.Authorizer, error)) credential {
	public := environments.AzurePublic()
	apis := map[string]environments.Api{
		"https://graph.microsoft.com":  public.MicrosoftGraph,
		"https://management.azure.com": public.ResourceManager,
	}
	return func(ctx context.Context, resource string) (answer, error) {
		api, known := apis[strings.TrimSuffix(resource, "/")]
		if !known {
			return answer{}, fmt.Errorf("no API is known for %s", resource)
		}
		authorizer, err := construct(ctx, api)
		if err != nil {
			return answer{}, err
		}
		token, err := authorizer.Token(ctx, nil)
		if err != nil {
			return answer{}, err
		}
		a := answer{Token: token.AccessToken}
		if !token.Expiry.IsZero() {
			a.ExpiresOn = token.Expiry.Unix()
		}
		return a, nil
	}
}
