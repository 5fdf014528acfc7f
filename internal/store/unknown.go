// SPDX-License-Identifier: MPL-2.0

package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// unknown is what a stored object holds beside what its type knows, at every depth.
type unknown struct {
	fields map[string]json.RawMessage // of the object itself
	nested map[string]*unknown        // of its known members, by JSON name
	items  []unknownItem              // of the elements of a map or a list
}

// unknownItem is what one element of a map or a list holds. It goes with the element as
// it was read: an element that was replaced or changed since is another one.
type unknownItem struct {
	known json.RawMessage // the element as this version writes it
	kept  *unknown
}

// findUnknown compares a stored value with the type that it was decoded into; nil where
// everything is known.
func findUnknown(value []byte, into any) (*unknown, error) {
	return find(value, reflect.TypeOf(into))
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func find(value json.RawMessage, t reflect.Type) (*unknown, error) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case reflect.PointerTo(t).Implements(unmarshaler) || bytes.Equal(value, []byte("null")):
		return nil, nil
	case t.Kind() == reflect.Struct:
		return findInStruct(value, t)
	case t.Kind() == reflect.Map:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(value, &members); err != nil {
			return nil, err
		}
		elements := make([]json.RawMessage, 0, len(members))
		for _, member := range members {
			elements = append(elements, member)
		}
		return findInElements(elements, t.Elem())
	case t.Kind() == reflect.Slice:
		var elements []json.RawMessage
		if err := json.Unmarshal(value, &elements); err != nil {
			return nil, err
		}
		return findInElements(elements, t.Elem())
	}
	return nil, nil
}

func findInStruct(value json.RawMessage, t reflect.Type) (*unknown, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(value, &members); err != nil {
		return nil, err
	}
	kept := &unknown{fields: map[string]json.RawMessage{}, nested: map[string]*unknown{}}
	known := memberFields(t)
	for name, member := range members {
		of, isKnown := known[name]
		if !isKnown {
			kept.fields[name] = member
			continue
		}
		below, err := find(member, of.Type)
		if err != nil {
			return nil, err
		}
		if below != nil {
			kept.nested[name] = below
		}
	}
	if len(kept.fields) == 0 && len(kept.nested) == 0 {
		return nil, nil
	}
	return kept, nil
}

func findInElements(elements []json.RawMessage, t reflect.Type) (*unknown, error) {
	kept := &unknown{}
	for _, element := range elements {
		below, err := find(element, t)
		if err != nil {
			return nil, err
		}
		if below == nil {
			continue
		}
		decoded := reflect.New(t)
		if err := json.Unmarshal(element, decoded.Interface()); err != nil {
			return nil, err
		}
		known, err := json.Marshal(decoded.Interface())
		if err != nil {
			return nil, err
		}
		kept.items = append(kept.items, unknownItem{known, below})
	}
	if len(kept.items) == 0 {
		return nil, nil
	}
	return kept, nil
}

// memberFields are a struct's members, by JSON name.
func memberFields(t reflect.Type) map[string]reflect.StructField {
	fields := map[string]reflect.StructField{}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.IsExported() && !field.Anonymous && name != "-" {
			if name == "" {
				name = field.Name
			}
			fields[name] = field
		}
	}
	return fields
}

// restore puts back what is unknown into the value as this version writes it.
func (u *unknown) restore(value json.RawMessage) (json.RawMessage, error) {
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		for i, element := range list {
			restored, err := u.restoreItem(element)
			if err != nil {
				return nil, err
			}
			list[i] = restored
		}
		if list == nil {
			return value, nil
		}
		return json.Marshal(list)
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(value, &members) != nil || members == nil {
		return value, nil // it is not there any more
	}
	for name, member := range members {
		restored, err := u.restoreItem(member)
		if below := u.nested[name]; below != nil {
			restored, err = below.restore(member)
		}
		if err != nil {
			return nil, err
		}
		members[name] = restored
	}
	for name, field := range u.fields {
		if _, known := members[name]; !known {
			members[name] = field
		}
	}
	return json.Marshal(members)
}

// restoreItem is restore for an element of a map or a list, if it is as it was read.
func (u *unknown) restoreItem(element json.RawMessage) (json.RawMessage, error) {
	for _, item := range u.items {
		if bytes.Equal(item.known, element) {
			return item.kept.restore(element)
		}
	}
	return element, nil
}
