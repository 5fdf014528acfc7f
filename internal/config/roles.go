// SPDX-License-Identifier: MPL-2.0

package config

import (
	"context"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
	"vault-plugin-secrets-entra/internal/store"
)

// RoleStoragePrefix is where the roles are stored, by name.
const RoleStoragePrefix = "role/"

// cachedRoles bounds the roles kept in memory, by count.
const cachedRoles = 1024

// Role is a named set of scopes for one resource.
type Role struct {
	store.UnknownFields

	Version int      `json:"version"`
	Scopes  []string `json:"scopes"`
	Lease   bool     `json:"lease"` // reads of its tokens carry one
}

// Roles keeps the roles of a mount.
type Roles struct {
	entries *store.Entries
	cache   *store.Cache[*Role] // nil entries too: roles that are not there
}

func newRoles(entries *store.Entries) *Roles {
	return &Roles{entries: entries, cache: store.NewCache[*Role](store.Limit{Entries: cachedRoles})}
}

// Get returns a role from memory, else from storage; nil if there is none. It must
// not be changed.
func (r *Roles) Get(ctx context.Context, name string) (*Role, error) {
	if role, ok := r.cache.Get(name); ok {
		return role, nil
	}
	mark := r.cache.Mark(name)
	role := &Role{}
	found, err := r.entries.Read(ctx, RoleStoragePrefix+name, role)
	if err != nil {
		return nil, err
	}
	if !found {
		role = nil
	}
	r.cache.Keep(name, role, 0, mark)
	return role, nil
}

// Named is the role that a request names, or why there is none. It must not be changed.
func (r *Roles) Named(ctx context.Context, name string) (*Role, error) {
	role, err := r.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	if role == nil {
		return nil, problem.Invalid("role: there is no role %q in this mount", name)
	}
	return role, nil
}

// Write creates or updates a role: change gets the stored one, or an empty one. cfg is nil
// where there is no config.
func (r *Roles) Write(ctx context.Context, cfg *Entry, name string, change func(*Role)) error {
	role := &Role{Version: store.SchemaVersion}
	if _, err := r.entries.Read(ctx, RoleStoragePrefix+name, role); err != nil {
		return err
	}
	change(role)
	if len(role.Scopes) == 0 {
		return problem.Invalid("scopes: is required")
	}
	check := entra.CheckScopes
	if cfg != nil {
		check = cfg.CheckScopes
	}
	if err := check(role.Scopes); err != nil {
		return problem.Invalid("scopes: %s", err)
	}
	defer r.cache.Drop(name)
	return r.entries.Write(ctx, RoleStoragePrefix+name, role)
}

// Delete removes a role, which may be absent.
func (r *Roles) Delete(ctx context.Context, name string) error {
	defer r.cache.Drop(name)
	return r.entries.Delete(ctx, RoleStoragePrefix+name)
}

// List returns the names of all roles.
func (r *Roles) List(ctx context.Context) ([]string, error) {
	return r.entries.List(ctx, RoleStoragePrefix)
}

// Drop forgets what is cached of a role. It never waits for storage.
func (r *Roles) Drop(name string) { r.cache.Drop(name) }
