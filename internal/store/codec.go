// SPDX-License-Identifier: MPL-2.0

package store

import (
	"bytes"
	"encoding/json"
)

// UnknownFields keeps what a newer version of the engine has stored in an entry and
// this one does not know, so that a rollback loses nothing. Entries embed it.
type UnknownFields struct {
	kept *unknown
	size int
}

func (u *UnknownFields) unknown() **unknown { return &u.kept }

func (u *UnknownFields) setSize(bytes int) { u.size = bytes }

// StoredSize is how many bytes the entry had in storage when it was read, 0 for a new one. In
// memory it takes about as much.
func (u *UnknownFields) StoredSize() int { return u.size }

// Entry is what the entries of this engine have in common: they embed UnknownFields.
// Their JSON names carry no omitempty: an absent name is one that is not known.
type Entry interface {
	unknown() **unknown
	setSize(bytes int)
}

// decode reads value at once where it is as this version writes it, as nearly always; else in
// one pass where every field of it is known, and once more for those that are not.
func decode(value []byte, entry Entry) error {
	defer entry.setSize(len(value))
	if decodePlain(value, entry) {
		return nil
	}
	strict := json.NewDecoder(bytes.NewReader(value))
	strict.DisallowUnknownFields()
	if strict.Decode(entry) == nil && strict.InputOffset() == int64(len(value)) {
		*entry.unknown() = nil
		return nil
	}
	if err := json.Unmarshal(value, entry); err != nil {
		return err
	}
	kept, err := findUnknown(value, entry)
	*entry.unknown() = kept
	return err
}

func encode(entry Entry) ([]byte, error) {
	value, err := json.Marshal(entry)
	if kept := *entry.unknown(); err == nil && kept != nil {
		return kept.restore(value)
	}
	return value, err
}
