// SPDX-License-Identifier: MPL-2.0

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogLinesTakeNoSecrets: a plugin logs in JSON, where a secret's type cannot
// keep it from being written in plain. So what a log line takes is looked at in
// the source: names, words, codes, errors and numbers.
func TestLogLinesTakeNoSecrets(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := filepath.Glob("internal/*/*.go")
	files = append(files, rooms...)
	if err != nil {
		t.Fatal(err)
	}
	harmless := map[string]bool{
		"account": true, "role": true, "word": true, "code": true, "correlation_id": true, "error": true, "state": true, "entity_id": true,
		"event": true, "accounts": true, "logins": true, "duration": true, "version": true, "commit": true,
	}
	lines := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, isCall := n.(*ast.CallExpr)
			if !isCall {
				return true
			}
			method, isMethod := call.Fun.(*ast.SelectorExpr)
			if !isMethod {
				return true
			}
			if !isLogger(method.X) {
				return true
			}
			lines++
			for i := 1; i < len(call.Args); i += 2 {
				name, isName := call.Args[i].(*ast.BasicLit)
				if !isName || !harmless[strings.Trim(name.Value, `"`)] {
					t.Errorf("%s: a log line takes %v, which this test does not know to be harmless", file, call.Args[i])
				}
			}
			return true
		})
	}
	if lines < 10 {
		t.Errorf("only %d log lines were found", lines)
	}
}

func selector(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		return s.Sel.Name
	}
	return ""
}

// isLogger tells b.Logger() and the field log of a room.
func isLogger(e ast.Expr) bool {
	if call, isCall := e.(*ast.CallExpr); isCall {
		return strings.HasSuffix(selector(call.Fun), "Logger")
	}
	return selector(e) == "log"
}
