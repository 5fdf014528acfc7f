// SPDX-License-Identifier: MPL-2.0

// Package admin stands for Google's client: sign-in by jwt reads no groups of Google
// Workspace in the small Vault.
package admin

import (
	"context"
	"errors"
)

var errLeftOut = errors.New("Google Workspace is left out of the small Vault")

// The scopes of a directory.
const (
	AdminDirectoryGroupReadonlyScope = "admin.directory.group.readonly"
	AdminDirectoryUserReadonlyScope  = "admin.directory.user.readonly"
)

type (
	// Service calls Google.
	Service struct {
		Groups GroupsService
		Users  UsersService
	}
	// GroupsService finds groups.
	GroupsService struct{}
	// UsersService finds users.
	UsersService struct{}
	// Group is a group.
	Group struct{ Email string }
	// Groups is a page of groups.
	Groups struct{ Groups []*Group }
	// User is a user.
	User struct{ CustomSchemas map[string][]byte }
	// GroupsListCall is a call.
	GroupsListCall struct{}
	// UsersGetCall is a call.
	UsersGetCall struct{}
)

// NewService is refused.
func NewService(context.Context, ...any) (*Service, error) { return nil, errLeftOut }

// List is refused.
func (GroupsService) List() *GroupsListCall { return nil }

// UserKey changes nothing.
func (c *GroupsListCall) UserKey(string) *GroupsListCall { return c }

// Domain changes nothing.
func (c *GroupsListCall) Domain(string) *GroupsListCall { return c }

// Fields changes nothing.
func (c *GroupsListCall) Fields(...any) *GroupsListCall { return c }

// Pages is refused.
func (*GroupsListCall) Pages(context.Context, func(*Groups) error) error { return errLeftOut }

// Get is refused.
func (UsersService) Get(string) *UsersGetCall { return nil }

// Context changes nothing.
func (c *UsersGetCall) Context(context.Context) *UsersGetCall { return c }

// Projection changes nothing.
func (c *UsersGetCall) Projection(string) *UsersGetCall { return c }

// CustomFieldMask changes nothing.
func (c *UsersGetCall) CustomFieldMask(string) *UsersGetCall { return c }

// Fields changes nothing.
func (c *UsersGetCall) Fields(...any) *UsersGetCall { return c }

// Do is refused.
func (*UsersGetCall) Do() (*User, error) { return nil, errLeftOut }
