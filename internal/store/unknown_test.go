// SPDX-License-Identifier: MPL-2.0

package store

import (
	"encoding/json"
	"testing"
	"time"
)

type testEntry struct {
	UnknownFields

	Name   string               `json:"name"`
	Count  int                  `json:"count"`
	Done   bool                 `json:"done"`
	Pin    testPin              `json:"pin"`
	Latest *testPin             `json:"latest"`
	Tokens map[string]*testItem `json:"tokens"`
	Logins []testItem           `json:"logins"`
}

type testPin struct {
	User string    `json:"user"`
	Time time.Time `json:"time"`
}

type testItem struct {
	Value string `json:"value"`
}

// TestUnknownFieldsAtEveryDepth: what a newer version stored outlives a write by this one,
// as long as the object that it stands in does.
func TestUnknownFieldsAtEveryDepth(t *testing.T) {
	const stored = `{
		"name": "a", "new": [1],
		"pin": {"user": "alice", "time": "2026-01-02T03:04:05Z", "only_from": "10.0.0.0/8"},
		"latest": {"user": "bob", "time": "2026-01-02T03:04:05Z", "deep": {"er": true}},
		"tokens": {"": {"value": "t1", "bound": "x"}, "mail": {"value": "t2", "bound": "y"}},
		"logins": [{"value": "l1", "device": "p"}, {"value": "l2", "device": "q"}]
	}`
	entry := &testEntry{}
	if err := decode([]byte(stored), entry); err != nil {
		t.Fatal(err)
	}
	entry.Pin.User = "ALICE"                                       // a field of an object changes
	entry.Latest = nil                                             // an object goes
	entry.Tokens["mail"] = &testItem{Value: "t3"}                  // an element is replaced
	entry.Logins = append(entry.Logins[1:], testItem{Value: "l3"}) // a list moves
	value, err := encode(entry)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
		"name": "a", "new": [1], "count": 0, "done": false,
		"pin": {"user": "ALICE", "time": "2026-01-02T03:04:05Z", "only_from": "10.0.0.0/8"},
		"latest": null,
		"tokens": {"": {"value": "t1", "bound": "x"}, "mail": {"value": "t3"}},
		"logins": [{"value": "l2", "device": "q"}, {"value": "l3"}]
	}`
	if got, want := canonical(t, value), canonical(t, []byte(want)); got != want {
		t.Errorf("stored:\n%s\nwant:\n%s", got, want)
	}
}

func canonical(t *testing.T, value []byte) string {
	t.Helper()
	var any map[string]any
	if err := json.Unmarshal(value, &any); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(any, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}
