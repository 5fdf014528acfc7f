// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"bytes"
	"encoding/json"
	"time"
)

// countReads takes from the audit log how often the reader has read for each token that it
// had, and when: one that goes by ttl reads a second after that of the read before has
// passed.
func (s *seat) countReads(from, to time.Time) {
	s.t.Helper()
	var due time.Time
	reads := 0
	for line := range bytes.Lines(s.e.ReadFile(s.e.AuditFile())) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var record struct {
			Type    string    `json:"type"`
			Time    time.Time `json:"time"`
			Request struct {
				Path string `json:"path"`
			} `json:"request"`
			Response struct {
				Data struct {
					TTL int `json:"ttl"`
				} `json:"data"`
			} `json:"response"`
		}
		if err := json.Unmarshal(line, &record); err != nil {
			s.t.Fatal(err)
		}
		if record.Type != "response" || record.Request.Path != s.path() ||
			record.Time.Before(from) || record.Time.After(to) {
			continue
		}
		reads++
		early, late := due.Sub(record.Time), record.Time.Sub(due)
		if s.byTTL && (early > 100*time.Millisecond || !due.IsZero() && late > 3*time.Second) {
			s.t.Errorf("%s: read %d comes %s after its time", s.name, reads, late)
		}
		due = record.Time.Add(time.Duration(record.Response.Data.TTL+1) * time.Second)
	}
	if tokens := len(s.shown); tokens > 0 {
		s.row.Reads = float64(reads*10/tokens) / 10
	}
}
