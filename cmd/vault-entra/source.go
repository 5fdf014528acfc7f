// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/dockercredential"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/mapping"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/tokens"
	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// Environment variables that stand for options: a helper that git or docker runs is given none.
const (
	envMount   = "VAULT_ENTRA_MOUNT"
	envAccount = "VAULT_ENTRA_ACCOUNT"
	envMap     = "VAULT_ENTRA_MAP"
)

// selection is which tokens a command line means.
type selection struct {
	mount, account, role string
	mapFile              string
}

// define defines -mount, -account, -role and -map.
func (s *selection) define(f *flags) {
	s.defineMount(f)
	f.text(&s.account, "account", "name", os.Getenv(envAccount),
		"Account whose tokens are given where no map names another. It can also be "+
			"given by "+envAccount+".")
	f.text(&s.role, "role", "name", "",
		"Role of the account, for every resource. Without it, the map says which, or "+
			"the role is taken whose scopes are of the resource.")
	f.file(&s.mapFile, "map", os.Getenv(envMap),
		"Map of resources and git hosts to accounts and roles, in HCL. It can also be "+
			"given by "+envMap+".")
}

// defineMount defines -mount alone.
func (s *selection) defineMount(f *flags) {
	f.text(&s.mount, "mount", "path", os.Getenv(envMount),
		"Where the engine is mounted. The default is "+vaultclient.DefaultMount+". It can also "+
			"be given by "+envMount+".")
}

// takeAccount takes the account that the arguments may name.
func (s *selection) takeAccount(args []string) (err error) {
	if len(args) > 0 {
		s.account, err = one(args, "the name of an account")
	}
	return err
}

// check refuses names that the engine would not take.
func (s *selection) check() error {
	for _, name := range []string{s.account, s.role} {
		if name != "" && !mapping.ValidName(name) {
			return usagef("%q is no name: letters, digits, _, -, . and @", name)
		}
	}
	return nil
}

// mountPath is the mount without slashes around it.
func (s *selection) mountPath() string {
	if mount := strings.Trim(s.mount, "/"); mount != "" {
		return mount
	}
	return vaultclient.DefaultMount
}

// source gives tokens by what programs ask with.
type source struct {
	vault    *vaultclient.Client
	resolver *mapping.Resolver
	cache    *tokens.Cache
}

// open finds Vault and reads the map.
func (s *selection) open() (*source, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	m, err := s.readMap()
	if err != nil {
		return nil, err
	}
	vault, err := vaultclient.New()
	if err != nil {
		return nil, err
	}
	return &source{
		vault: vault,
		resolver: &mapping.Resolver{
			Vault: vault, Map: m, Account: s.account, Role: s.role,
			Mount: strings.Trim(s.mount, "/"),
		},
		cache: tokens.NewCache(func(ctx context.Context,
			target vaultclient.Target) (*vaultclient.Token, error) {
			return vault.Token(ctx, target, 0)
		}),
	}, nil
}

// readMap reads the map, nil if there is none.
func (s *selection) readMap() (*mapping.Map, error) {
	if s.mapFile == "" {
		return nil, nil
	}
	m, err := mapping.Load(s.mapFile)
	if err == nil && s.account == "" {
		err = m.Complete()
	}
	return m, err
}

// Default is the token of what names no resource.
func (s *source) Default(ctx context.Context) (*vaultclient.Token, error) {
	target, err := s.resolver.Default()
	if err != nil {
		return nil, usageError{err.Error()}
	}
	return s.cache.Token(ctx, target)
}

// Resource is the token of a resource, such as https://management.azure.com/.
func (s *source) Resource(ctx context.Context, resource string) (*vaultclient.Token, error) {
	choice, err := s.resolver.Resource(ctx, resource)
	if err != nil {
		return nil, err
	}
	token, err := s.cache.Token(ctx, choice.Target)
	if choice.ByScopes && notTheAccounts(err) {
		// The account was never asked to consent to the role. Its default token may do.
		instead := choice.Instead()
		token, otherErr := s.cache.Token(ctx, instead.Target)
		if otherErr != nil || instead.Check(token, resource) != nil {
			return nil, err
		}
		s.resolver.Remember(choice)
		return token, nil
	}
	if err != nil {
		return nil, err
	}
	if err := choice.Check(token, resource); err != nil {
		return nil, err
	}
	return token, nil
}

// notTheAccounts reports whether a role's token is refused for want of consent, or by the policy.
func notTheAccounts(err error) bool {
	var refused *vaultclient.Error
	return errors.As(err, &refused) && (refused.Class == vaultclient.LoginRequired ||
		refused.Class == vaultclient.Forbidden)
}

// Scope is the token of a scope: of the resource that it belongs to, unless the map names the scope
// itself.
func (s *source) Scope(ctx context.Context, scope string) (*vaultclient.Token, error) {
	if m := s.resolver.Map; m != nil {
		if _, named := m.Resource(scope); named {
			return s.Resource(ctx, scope)
		}
	}
	if resource := mapping.ResourceOf(scope); resource != "" {
		return s.Resource(ctx, resource)
	}
	return s.Default(ctx)
}

// azureDevOps is the application ID of Azure DevOps, whose git hosts need no mention in a map.
// https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity
const azureDevOps = "499b84ac-1321-427f-aa17-267ca6975798"

// GitHost is the token for a git host: one that the map names, or one of Azure DevOps. It is nil,
// without an error, for any other.
func (s *source) GitHost(ctx context.Context, host string) (*vaultclient.Token, error) {
	if target, named := s.resolver.Git(host); named {
		return s.cache.Token(ctx, target)
	}
	host = strings.ToLower(host)
	if host == "dev.azure.com" || strings.HasSuffix(host, ".visualstudio.com") {
		return s.Resource(ctx, azureDevOps)
	}
	return nil, nil
}

// Registry is the token for a container registry: one that the map names, or one of Azure Container
// Registry. It is nil, without an error, for any other.
func (s *source) Registry(ctx context.Context, host string) (*vaultclient.Token, error) {
	if target, named := s.resolver.Registry(host); named {
		return s.cache.Token(ctx, target)
	}
	azure := slices.ContainsFunc(azureRegistries, func(domain string) bool {
		return strings.HasSuffix(strings.ToLower(host), domain)
	})
	if !azure {
		return nil, nil
	}
	// Its own resource is the narrower one; accounts mostly have a role for the other alone.
	token, err := s.Resource(ctx, dockercredential.Resource)
	var trouble *vaultclient.Error
	if err == nil || errors.As(err, &trouble) {
		return token, err
	}
	return s.Resource(ctx, dockercredential.ARMResource)
}

// azureRegistries are the domains of Azure Container Registry in the public cloud, China's and the
// US government's.
var azureRegistries = []string{".azurecr.io", ".azurecr.cn", ".azurecr.us"}
