// SPDX-License-Identifier: MPL-2.0

// Linescheck checks how long the lines of a repository's Go files and scripts are:
//
//	linescheck DIR
//
// A line that holds a comment has at most 100 columns, of which a tab takes 4, unless an
// address of more than 60 columns stands in it, which could not be broken. Generated files are
// left out, and what lies in testdata. The exit status is 1 if a line is too long.
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

	// longAddress is the width from which on an address excuses its line.
	longAddress = 60
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
		fmt.Printf("%d comments have lines of more than %d columns\n", len(long), mostColumns)
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
	comments := commentLines(name, source)
	number := 0
	for text := range strings.Lines(string(source)) {
		number++
		text = strings.TrimRight(text, "\r\n")
		columns := width(text)
		if columns > mostColumns && comments[number] && widestAddress(text) <= longAddress {
			long = append(long, line{number, columns})
		}
	}
	return long
}

// width is how many columns a text takes.
func width(text string) int {
	return utf8.RuneCountInString(text) + strings.Count(text, "\t")*(tabColumns-1)
}

var address = regexp.MustCompile(`[a-z]+://\S+`)

func widestAddress(text string) (columns int) {
	for _, found := range address.FindAllString(text, -1) {
		columns = max(columns, width(found))
	}
	return columns
}

// commentLines are the numbers of the lines that hold a comment: in a script, those that begin
// with one.
func commentLines(name string, source []byte) map[int]bool {
	lines := map[int]bool{}
	if path.Ext(name) != ".go" {
		number := 0
		for text := range strings.Lines(string(source)) {
			number++
			text = strings.TrimSpace(text)
			lines[number] = strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//")
		}
		return lines
	}
	files := token.NewFileSet()
	file := files.AddFile(name, files.Base(), len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, scanner.ScanComments) // no handler of errors: the compiler tells them
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind != token.COMMENT {
			continue
		}
		// Not PositionFor with adjustment: a //line comment names another file.
		first := file.PositionFor(pos, false).Line
		for i := range strings.Count(text, "\n") + 1 {
			lines[first+i] = true
		}
	}
}
