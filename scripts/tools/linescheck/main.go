// SPDX-License-Identifier: MPL-2.0

// Linescheck checks how long the lines of a repository's Go files and scripts are:
//
//	linescheck DIR
//
// A line has at most 100 columns, of which a tab takes 4. A longer one passes only if it holds
// a string literal or an address of more than 60 columns, which could not be broken well.
// Generated files are left out, and what lies in testdata. The exit status is 1 if a line is
// too long.
package main

import (
	"bytes"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	mostColumns = 100
	tabColumns  = 4

	// longPiece is the width from which on a literal or an address excuses its line.
	longPiece = 60
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: linescheck DIR")
		os.Exit(2)
	}
	long, err := check(os.DirFS(os.Args[1]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "linescheck:", err)
		os.Exit(1)
	}
	for _, line := range long {
		fmt.Println(line)
	}
	if len(long) > 0 {
		fmt.Printf("%d lines have more than %d columns, and no literal of more than %d\n",
			len(long), mostColumns, longPiece)
		os.Exit(1)
	}
}

// skipped are folders that hold what nobody writes by hand.
var skipped = []string{".git", "bin", "dist", "node_modules", "testdata"}

// check returns a line for each one that is too long in the repository root.
func check(root fs.FS) (long []string, err error) {
	files := 0
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(skipped, entry.Name()):
			return fs.SkipDir
		case !entry.Type().IsRegular() || !mayBeProgram(name):
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		script := bytes.HasPrefix(source, []byte("#!"))
		if path.Ext(name) == "" && !script || generated.Match(source) {
			return nil
		}
		files++
		for _, l := range tooLong(name, source) {
			long = append(long, fmt.Sprintf("%s:%d: %d columns", name, l.number, l.columns))
		}
		return nil
	})
	if err == nil && files == 0 {
		err = fmt.Errorf("no Go file and no script found")
	}
	return long, err
}

// mayBeProgram tells Go files and scripts by their names; a script may have no extension.
func mayBeProgram(name string) bool {
	return slices.Contains([]string{".go", ".sh", ".mjs", ".py", ""}, path.Ext(name))
}

// generated is the line of https://go.dev/s/generatedcode.
var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

type line struct{ number, columns int }

func tooLong(name string, source []byte) (long []line) {
	var literals map[int]int
	number := 0
	for text := range strings.Lines(string(source)) {
		number++
		text = strings.TrimRight(text, "\r\n")
		columns := width(text)
		if columns <= mostColumns {
			continue
		}
		if literals == nil {
			literals = literalsOf(name, source)
		}
		if max(literals[number], widest(address, text)) <= longPiece {
			long = append(long, line{number, columns})
		}
	}
	return long
}

// width is how many columns a text takes.
func width(text string) int {
	return utf8.RuneCountInString(text) + strings.Count(text, "\t")*(tabColumns-1)
}

var (
	address = regexp.MustCompile(`[a-z]+://\S+`)
	quoted  = regexp.MustCompile(`'[^']*'|"(?:\\.|[^"\\])*"|` + "`[^`]*`")
)

func widest(pattern *regexp.Regexp, text string) (columns int) {
	for _, piece := range pattern.FindAllString(text, -1) {
		columns = max(columns, width(piece))
	}
	return columns
}

// literalsOf is how wide the widest string literal of each line is, by its number. One of many
// lines counts on each by what it has there.
func literalsOf(name string, source []byte) map[int]int {
	literals := map[int]int{}
	if path.Ext(name) != ".go" {
		number := 0
		for text := range strings.Lines(string(source)) {
			number++
			literals[number] = widest(quoted, text)
		}
		return literals
	}
	files := token.NewFileSet()
	file := files.AddFile(name, files.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0) // without a handler of errors: the compiler tells them
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return literals
		}
		if kind != token.STRING {
			continue
		}
		// Not PositionFor with adjustment: a //line comment names another file.
		first := file.PositionFor(pos, false).Line
		for i, piece := range strings.Split(text, "\n") {
			literals[first+i] = max(literals[first+i], width(piece))
		}
	}
}
