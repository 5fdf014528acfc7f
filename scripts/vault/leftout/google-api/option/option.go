// SPDX-License-Identifier: MPL-2.0

// Package option stands for the options of Google's clients.
package option

// ClientOption is an option.
type ClientOption any

// WithUserAgent changes nothing.
func WithUserAgent(string) ClientOption { return nil }

// WithTokenSource changes nothing.
func WithTokenSource(any) ClientOption { return nil }
