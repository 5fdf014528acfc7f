// SPDX-License-Identifier: MPL-2.0

// Package store keeps storage entries: their codec, a cache that never keeps what
// was read before a write, and locks by name.
package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/sdk/logical"
)

// SchemaVersion is written into every storage entry.
const SchemaVersion = 1

// ErrUnreadable is an entry that is there and cannot be decoded.
var ErrUnreadable = errors.New("the entry cannot be decoded")

// Entries are the storage entries of one mount.
type Entries struct{ storage logical.Storage }

// New returns the entries of a mount's storage.
func New(storage logical.Storage) *Entries { return &Entries{storage: storage} }

// Read reads key into entry and reports whether it was there.
func (s *Entries) Read(ctx context.Context, key string, entry Entry) (bool, error) {
	stored, err := s.storage.Get(ctx, key)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	if stored == nil {
		return false, nil
	}
	if err := decode(stored.Value, entry); err != nil {
		return false, fmt.Errorf("%s: %w: %w", key, ErrUnreadable, err)
	}
	return true, nil
}

// Write stores entry under key.
func (s *Entries) Write(ctx context.Context, key string, entry Entry) error {
	return s.WriteCopy(ctx, key, entry, nil)
}

// WriteCopy stores entry under key and decodes what was stored into stored, a zero entry: a copy
// that shares nothing with it. stored may be nil.
func (s *Entries) WriteCopy(ctx context.Context, key string, entry, stored Entry) error {
	value, err := encode(entry)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	if stored != nil {
		if err := decode(value, stored); err != nil {
			return fmt.Errorf("decode %s: %w", key, err)
		}
	}
	if err := s.storage.Put(ctx, &logical.StorageEntry{Key: key, Value: value}); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// Delete removes key, which may be absent.
func (s *Entries) Delete(ctx context.Context, key string) error {
	if err := s.storage.Delete(ctx, key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}

// List returns the names under prefix, which ends in a slash.
func (s *Entries) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.storage.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", strings.TrimSuffix(prefix, "/"), err)
	}
	return names, nil
}
