// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"encoding/json"
	"os"
)

// ReadFile is the content of a file, which must not be empty.
func (s *Server) ReadFile(name string) []byte {
	s.T.Helper()
	content, err := os.ReadFile(name)
	if err != nil || len(content) == 0 {
		s.T.Fatalf("%s is empty, or: %v", name, err)
	}
	return content
}

// RawPath is where Vault keeps this mount's storage, for sys/raw.
func (e *Engine) RawPath(key string) string {
	e.T.Helper()
	var mount struct {
		UUID string `json:"uuid"`
	}
	e.Get("sys/mounts/entra").Want(200).Into(&mount)
	return "sys/raw/logical/" + mount.UUID + "/" + key
}

// Stored is a storage entry of the engine, decrypted.
func (e *Engine) Stored(key string) map[string]any {
	e.T.Helper()
	var entry map[string]any
	value := e.Get(e.RawPath(key)).Want(200).Text("value")
	if err := json.Unmarshal([]byte(value), &entry); err != nil {
		e.T.Fatalf("%s: %v", key, err)
	}
	return entry
}

// OnlyKey is the name of the only entry under a prefix.
func (e *Engine) OnlyKey(prefix string) string {
	e.T.Helper()
	var list struct {
		Data struct {
			Keys []string `json:"keys"`
		} `json:"data"`
	}
	e.Get(e.RawPath(prefix) + "?list=true").Want(200).Into(&list)
	if len(list.Data.Keys) != 1 {
		e.T.Fatalf("%s has %d entries, want one", prefix, len(list.Data.Keys))
	}
	return list.Data.Keys[0]
}
