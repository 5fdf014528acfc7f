// SPDX-License-Identifier: MPL-2.0

package harness

import (
	"bytes"
	"encoding/json"
)

// AuditedResponses counts the requests for a path that this node of a cluster has answered
// itself. Its audit device writes among what the server logs; a request that a standby forwards is
// audited by the active node.
func (s *Server) AuditedResponses(path string) int {
	s.T.Helper()
	return s.responses(s.LogFile(), path)
}

// Reads counts the requests for a path that a server with an audit file has answered.
func (s *Server) Reads(path string) int {
	s.T.Helper()
	return s.responses(s.AuditFile(), path)
}

func (s *Server) responses(file, path string) int {
	s.T.Helper()
	n := 0
	for line := range bytes.Lines(s.ReadFile(file)) {
		var record struct {
			Type    string `json:"type"`
			Request struct {
				Path string `json:"path"`
			} `json:"request"`
		}
		if !bytes.HasPrefix(line, []byte("{")) || !bytes.HasSuffix(line, []byte("\n")) {
			continue // a line of the log, or one that is being written
		}
		if err := json.Unmarshal(line, &record); err != nil {
			s.T.Fatalf("an audit record: %v: %s", err, line)
		}
		if record.Type == "response" && record.Request.Path == path {
			n++
		}
	}
	return n
}
