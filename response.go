// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/problem"
)

// answerError turns an error into Vault's response. Only the three sentinels below
// give a clean status: a CodedError from an external plugin would reach the client
// wrapped as "1 error occurred: …".
func (b *backend) answerError(err error) (*logical.Response, error) {
	if errors.Is(err, logical.ErrReadOnly) {
		return nil, logical.ErrReadOnly // unwrapped: core compares the text
	}
	p := problem.Of(err)
	if p == nil {
		return nil, err
	}
	resp := logical.ErrorResponse("%s", p.Explain(b.mount()))
	switch p.Status() {
	case http.StatusNotFound:
		return resp, logical.ErrUnsupportedPath
	case http.StatusBadGateway:
		return resp, logical.ErrUpstreamRateLimited
	default:
		return resp, nil
	}
}

// checkNames refuses a name that storage refuses: the path's pattern lets it pass.
func checkNames(path string) error {
	for i, name := range strings.Split(path, "/") {
		if !strings.Contains(name, "..") {
			continue
		}
		field := "account"
		if i > 1 || strings.HasPrefix(path, rolesPath) {
			field = "role"
		}
		return problem.Invalid(`%s: a name must not hold ".."`, field)
	}
	return nil
}

// handler is a path's answer to one operation.
type handler = func(context.Context, *logical.Request, *framework.FieldData) (*logical.Response, error)

// operation is what all operations of this engine declare. summary says what it does;
// verb and suffix name it in clients that are generated; fields is its answer.
func operation(do handler, verb, suffix, summary string, answer map[int][]framework.Response) *framework.PathOperation {
	return &framework.PathOperation{
		Callback:     do,
		Summary:      summary,
		DisplayAttrs: &framework.DisplayAttributes{OperationVerb: verb, OperationSuffix: suffix},
		Responses:    answer,
	}
}

// forwarded is an operation that the active node of the primary cluster does: it
// writes, calls Entra, or answers from what only that node knows.
func forwarded(op *framework.PathOperation) *framework.PathOperation {
	op.ForwardPerformanceStandby = true
	op.ForwardPerformanceSecondary = true
	return op
}

// fromActiveNode is an operation that a standby leaves to the active node of its cluster.
func fromActiveNode(op *framework.PathOperation) *framework.PathOperation {
	op.ForwardPerformanceStandby = true
	return op
}

// answers is a 200 with these fields.
func answers(fields map[string]*framework.FieldSchema) map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusOK: {{
		Description: http.StatusText(http.StatusOK),
		Fields:      fields,
	}}}
}

// noContent is a 204.
func noContent() map[int][]framework.Response {
	return map[int][]framework.Response{http.StatusNoContent: {{
		Description: http.StatusText(http.StatusNoContent),
	}}}
}

// answer is a field of an answer. Every field is always there.
func answer(t framework.FieldType, description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: t, Required: true, Description: description}
}

// field is a field of a request.
func field(t framework.FieldType, description string) *framework.FieldSchema {
	return &framework.FieldSchema{Type: t, Description: description}
}

// secretField is a field of a request that clients do not show.
func secretField(description string) *framework.FieldSchema {
	f := field(framework.TypeString, description)
	f.DisplayAttrs = &framework.DisplayAttributes{Sensitive: true}
	return f
}

// warning is an answer that holds nothing else, nil for none.
func warning(text string) *logical.Response {
	if text == "" {
		return nil
	}
	resp := &logical.Response{}
	resp.AddWarning(text)
	return resp
}

// accountField is the account's name in a path.
func accountField() *framework.FieldSchema {
	return answer(framework.TypeString, "Name of the account in this mount. Case matters.")
}

// roleField is the role's name in a path.
func roleField() *framework.FieldSchema {
	return answer(framework.TypeString, "Name of the role in this mount. Case matters.")
}

// path is what all paths of this engine declare.
func path(pattern string, fields map[string]*framework.FieldSchema, ops map[logical.Operation]framework.OperationHandler, synopsis, help string) *framework.Path {
	return &framework.Path{
		Pattern:         pattern,
		DisplayAttrs:    &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields:          fields,
		Operations:      ops,
		HelpSynopsis:    synopsis,
		HelpDescription: help,
	}
}

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
