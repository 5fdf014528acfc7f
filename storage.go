// SPDX-License-Identifier: MPL-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/hashicorp/vault/sdk/logical"
)

// unknownFields keeps what a newer version of the engine has stored in an entry
// and this one does not know, so that a rollback loses nothing. Entries embed it.
type unknownFields struct {
	fields map[string]json.RawMessage
}

func (u *unknownFields) unknown() *map[string]json.RawMessage { return &u.fields }

// storedEntry is what the entries of this engine have in common. Its top-level
// JSON names carry no omitempty: an absent name is one that is not known.
type storedEntry interface {
	unknown() *map[string]json.RawMessage
}

// readEntry reads key into entry and reports whether it was there.
func readEntry(ctx context.Context, s logical.Storage, key string, entry storedEntry) (bool, error) {
	stored, err := s.Get(ctx, key)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", key, err)
	}
	if stored == nil {
		return false, nil
	}
	if err := decodeEntry(stored.Value, entry); err != nil {
		return false, fmt.Errorf("decode %s: %w", key, err)
	}
	return true, nil
}

// writeEntry stores entry under key.
func writeEntry(ctx context.Context, s logical.Storage, key string, entry storedEntry) error {
	value, err := encodeEntry(entry)
	if err != nil {
		return fmt.Errorf("encode %s: %w", key, err)
	}
	if err := s.Put(ctx, &logical.StorageEntry{Key: key, Value: value}); err != nil {
		return fmt.Errorf("write %s: %w", key, err)
	}
	return nil
}

// decodeEntry reads value in one pass where every field of it is known, as nearly
// always, and else once more for those that are not.
func decodeEntry(value []byte, entry storedEntry) error {
	strict := json.NewDecoder(bytes.NewReader(value))
	strict.DisallowUnknownFields()
	if strict.Decode(entry) == nil && strict.InputOffset() == int64(len(value)) {
		*entry.unknown() = nil
		return nil
	}
	known, err := fieldsOf(entry)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(value, entry); err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(value, &all); err != nil {
		return err
	}
	for name := range known {
		delete(all, name)
	}
	*entry.unknown() = all
	return nil
}

func encodeEntry(entry storedEntry) ([]byte, error) {
	if len(*entry.unknown()) == 0 {
		return json.Marshal(entry)
	}
	fields, err := fieldsOf(entry)
	if err != nil {
		return nil, err
	}
	for name, value := range *entry.unknown() {
		if _, known := fields[name]; !known {
			fields[name] = value
		}
	}
	return json.Marshal(fields)
}

func fieldsOf(entry storedEntry) (map[string]json.RawMessage, error) {
	value, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	return fields, json.Unmarshal(value, &fields)
}
