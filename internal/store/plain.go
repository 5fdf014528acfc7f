// SPDX-License-Identifier: MPL-2.0

package store

import (
	"encoding/json"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// plain decodes JSON as this engine writes it: compact, each member once, none that the type
// does not have. encoding/json looks at every byte of a token three times, and that is most of
// what a read that misses the cache costs. Whatever is not plain is left to encoding/json.
type plain struct {
	text []byte
	at   int
}

// decodePlain decodes value into entry, a pointer to a zero value, and reports whether it could.
// The entry is zero again if it could not.
func decodePlain(value []byte, entry any) bool {
	v := reflect.ValueOf(entry).Elem()
	if !v.IsZero() {
		return false
	}
	p := &plain{text: value}
	if plainDecoder(v.Type())(p, v) && p.at == len(value) {
		return true
	}
	v.SetZero()
	return false
}

// decodes reads one value into v, which is zero, and reports whether it could.
type decodes func(p *plain, v reflect.Value) bool

// plainDecoders are those that were made, by type.
var plainDecoders sync.Map

func plainDecoder(t reflect.Type) decodes {
	made, found := plainDecoders.Load(t)
	if !found {
		made, _ = plainDecoders.LoadOrStore(t, newPlainDecoder(t))
	}
	return made.(decodes)
}

func newPlainDecoder(t reflect.Type) decodes {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return (*plain).time
	case reflect.PointerTo(t).Implements(unmarshaler):
		return (*plain).unmarshal
	}
	switch t.Kind() {
	case reflect.String:
		return (*plain).string
	case reflect.Bool:
		return (*plain).bool
	case reflect.Int, reflect.Int64:
		return (*plain).int
	case reflect.Pointer:
		return nullable(pointer(t))
	case reflect.Slice:
		return nullable(slice(t))
	case reflect.Map:
		return nullable(object(t))
	case reflect.Struct:
		return structure(t)
	}
	return func(*plain, reflect.Value) bool { return false }
}

// take moves past a word, if it is there.
func (p *plain) take(word string) bool {
	if len(p.text)-p.at < len(word) || string(p.text[p.at:p.at+len(word)]) != word {
		return false
	}
	p.at += len(word)
	return true
}

// quoted moves past a string and returns it with its quotes, nil if there is none. simple says
// that its bytes stand for themselves.
func (p *plain) quoted() (text []byte, simple bool) {
	begin := p.at
	if !p.take(`"`) {
		return nil, false
	}
	simple = true
	for i := p.at; i < len(p.text); i++ {
		switch b := p.text[i]; {
		case b == '"':
			p.at = i + 1
			return p.text[begin:p.at], simple
		case b == '\\':
			simple = false
			i++
		case b < ' ' || b > '~':
			simple = false
		}
	}
	return nil, false
}

func (p *plain) string(v reflect.Value) bool {
	text, simple := p.quoted()
	switch {
	case text == nil:
		return false
	case simple:
		v.SetString(string(text[1 : len(text)-1]))
		return true
	}
	return json.Unmarshal(text, v.Addr().Interface()) == nil // as it has escapes
}

// unmarshal is for a string whose type decodes itself.
func (p *plain) unmarshal(v reflect.Value) bool {
	text, _ := p.quoted()
	return text != nil && v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text) == nil
}

func (p *plain) time(v reflect.Value) bool {
	text, _ := p.quoted()
	return text != nil && v.Addr().Interface().(*time.Time).UnmarshalJSON(text) == nil
}

func (p *plain) bool(v reflect.Value) bool {
	if p.take("true") {
		v.SetBool(true)
		return true
	}
	return p.take("false")
}

func (p *plain) int(v reflect.Value) bool {
	end := p.at
	for end < len(p.text) && (p.text[end] >= '0' && p.text[end] <= '9' || p.text[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(string(p.text[p.at:end]), 10, v.Type().Bits())
	if err != nil || strconv.FormatInt(n, 10) != string(p.text[p.at:end]) {
		return false
	}
	p.at = end
	v.SetInt(n)
	return true
}

func nullable(d decodes) decodes {
	return func(p *plain, v reflect.Value) bool { return p.take("null") || d(p, v) }
}

func pointer(t reflect.Type) decodes {
	element := plainDecoder(t.Elem())
	return func(p *plain, v reflect.Value) bool {
		v.Set(reflect.New(t.Elem()))
		return element(p, v.Elem())
	}
}

func slice(t reflect.Type) decodes {
	element := plainDecoder(t.Elem())
	return func(p *plain, v reflect.Value) bool {
		if !p.take("[") {
			return false
		}
		v.Set(reflect.MakeSlice(t, 0, 0))
		for n := 0; !p.take("]"); n++ {
			if n > 0 && !p.take(",") {
				return false
			}
			v.Grow(1)
			v.SetLen(n + 1)
			if !element(p, v.Index(n)) {
				return false
			}
		}
		return true
	}
}

func object(t reflect.Type) decodes {
	key, element := plainDecoder(t.Key()), plainDecoder(t.Elem())
	if t.Key().Kind() != reflect.String {
		return func(*plain, reflect.Value) bool { return false }
	}
	return func(p *plain, v reflect.Value) bool {
		if !p.take("{") {
			return false
		}
		v.Set(reflect.MakeMap(t))
		for n := 0; !p.take("}"); n++ {
			if n > 0 && !p.take(",") {
				return false
			}
			k, e := reflect.New(t.Key()).Elem(), reflect.New(t.Elem()).Elem()
			if !key(p, k) || !p.take(":") || !element(p, e) {
				return false
			}
			v.SetMapIndex(k, e)
		}
		return true
	}
}

// member is a field of a structure.
type member struct {
	index  []int
	number int
	decode decodes
}

func structure(t reflect.Type) decodes {
	members := map[string]member{}
	for name, field := range memberFields(t) {
		members[name] = member{field.Index, len(members), plainDecoder(field.Type)}
	}
	if len(members) > 64 {
		return func(*plain, reflect.Value) bool { return false }
	}
	return func(p *plain, v reflect.Value) bool {
		if !p.take("{") {
			return false
		}
		seen := uint64(0)
		for !p.take("}") {
			if seen != 0 && !p.take(",") {
				return false
			}
			name, simple := p.quoted()
			if !simple || !p.take(":") {
				return false
			}
			m, found := members[string(name[1:len(name)-1])]
			bit := uint64(1) << m.number
			if !found || seen&bit != 0 || !m.decode(p, v.FieldByIndex(m.index)) {
				return false
			}
			seen |= bit
		}
		return true
	}
}
