// SPDX-License-Identifier: MPL-2.0

package store

import (
	"bytes"
	"encoding/json"
)

// UnknownFields keeps what a newer version of the engine has stored in an entry
// and this one does not know, so that a rollback loses nothing. Entries embed it.
type UnknownFields struct {
	fields map[string]json.RawMessage
}

func (u *UnknownFields) unknown() *map[string]json.RawMessage { return &u.fields }

// Entry is what the entries of this engine have in common: they embed
// UnknownFields. Their top-level JSON names carry no omitempty: an absent name is
// one that is not known.
type Entry interface {
	unknown() *map[string]json.RawMessage
}

// decode reads value in one pass where every field of it is known, as nearly
// always, and else once more for those that are not.
func decode(value []byte, entry Entry) error {
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

func encode(entry Entry) ([]byte, error) {
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

func fieldsOf(entry Entry) (map[string]json.RawMessage, error) {
	value, err := json.Marshal(entry)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	return fields, json.Unmarshal(value, &fields)
}
