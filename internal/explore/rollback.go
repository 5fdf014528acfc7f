// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"encoding/json"
	"fmt"
	"slices"
)

// newerVersion lets a newer version of the engine have written every account: it stored fields
// that this one does not know, at the top and further down. The caller holds mu.
func (w *world) newerVersion() {
	for _, name := range w.storage.list(accountPrefix) {
		entry, pin, err := w.accountWithPin(name)
		if err != nil {
			continue
		}
		pin["only_from"], entry["tier"] = []byte(`"10.0.0.0/8"`), []byte(`"gold"`)
		entry["pin"] = mustMarshal(pin)
		w.storage.entries[accountPrefix+name] = mustMarshal(entry)
		w.marked = append(w.marked, name)
		w.note("world", "rolled back", name)
	}
}

// judgeMarked looks whether what the newer version stored is still there. An account that was
// deleted may have lost it. The caller holds mu.
func (w *world) judgeMarked() {
	for _, name := range w.marked {
		if slices.ContainsFunc(w.runs, of(name, "delete")) {
			continue
		}
		entry, pin, err := w.accountWithPin(name)
		if err != nil || pin["only_from"] == nil || entry["tier"] == nil {
			w.violated("rollback: account %s has lost what a newer version stored: pin.only_from %q, "+
				"tier %q, %v", name, pin["only_from"], entry["tier"], err)
		}
	}
}

// accountWithPin are the fields of a stored account, and those of its pin.
func (w *world) accountWithPin(name string) (entry, pin map[string]json.RawMessage, err error) {
	if err := json.Unmarshal(w.storage.entries[accountPrefix+name], &entry); err != nil {
		return nil, nil, fmt.Errorf("account %s: %w", name, err)
	}
	if err := json.Unmarshal(entry["pin"], &pin); err != nil {
		return nil, nil, fmt.Errorf("pin of account %s: %w", name, err)
	}
	return entry, pin, nil
}

func mustMarshal(fields map[string]json.RawMessage) []byte {
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	return text
}
