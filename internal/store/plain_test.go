// SPDX-License-Identifier: MPL-2.0

package store

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzPlain: what is decoded as plain JSON is what encoding/json makes of it, to the last byte,
// and knows no other member.
func FuzzPlain(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"a","count":-3,"done":true,"pin":{"user":"u","time":"2026-01-02T03:04:05.6Z"}}`,
		`{"latest":null,"tokens":null,"logins":[]}`, `{"name":"\u003cb\u003e jürgen \ud800"}`,
		`{"latest":{"user":"u"},"tokens":{"":{"value":"t"},"m":null},"logins":[{"value":"l"},{}]}`,
		`{"name":"a","name":"b"}`, `{"NAME":"a"}`, `{"new":1}`, `{"name":"a"} `, `{ "name":"a"}`,
		`{"count":1.0}`, `{"count":-0}`, `{"count":01}`, `{"count":99999999999999999999}`, `{"name":null}`,
		`{"pin":{"time":"never"}}`, `[]`, `null`, ``, `{"name":"a",}`, `{,"name":"a"}`, "{\"name\":\"\x01\"}",
		`{"tokens":{"a":{"value":"1"},"a":{"value":"2"}}}`, `{"name":"unfinished`, `{"done":truefalse}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		got := &testEntry{}
		if !decodePlain(value, got) {
			if !reflect.ValueOf(got).Elem().IsZero() {
				t.Fatalf("%q was given up and left %+v", value, got)
			}
			return
		}
		want := &testEntry{}
		strict := json.NewDecoder(bytes.NewReader(value))
		strict.DisallowUnknownFields()
		if err := strict.Decode(want); err != nil || strict.InputOffset() != int64(len(value)) {
			t.Fatalf("%q was decoded: %v", value, err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q became %+v, want %+v", value, got, want)
		}
	})
}

// TestPlainIsUsual: what this engine writes is decoded as plain JSON, text of any language
// included; an entry that holds something already is not.
func TestPlainIsUsual(t *testing.T) {
	written := &testEntry{
		Name: "Jürgen <&> \"q\"", Count: -7, Done: true, Latest: &testPin{User: "bob"},
		Tokens: map[string]*testItem{"": {Value: "t"}}, Logins: []testItem{{Value: "l"}},
	}
	value, err := encode(written)
	if err != nil {
		t.Fatal(err)
	}
	got := &testEntry{}
	if !decodePlain(value, got) || !reflect.DeepEqual(got, written) {
		t.Errorf("%s became %+v", value, got)
	}
	if decodePlain(value, got) {
		t.Error("an entry that was not zero was decoded into")
	}
}
