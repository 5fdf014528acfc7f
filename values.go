// SPDX-License-Identifier: MPL-2.0

package main

import (
	"strings"
	"time"
)

// formatTime is a time as every answer of this engine shows it, "" for none.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// seconds is a duration as every answer of this engine shows it.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// secondsUp counts a part of a second as a whole one.
func secondsUp(d time.Duration) int64 { return seconds(d + time.Second - 1) }

// words splits a list's items at spaces too: people write scopes both ways.
func words(items []string) []string {
	out := []string{}
	for _, item := range items {
		out = append(out, strings.Fields(item)...)
	}
	return out
}

// list and pairs are empty in an answer, never null.
func list(items []string) []string {
	if items == nil {
		return []string{}
	}
	return items
}

func pairs(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
