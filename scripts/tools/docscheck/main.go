// SPDX-License-Identifier: MPL-2.0

// Docscheck checks what the documents of a repository refer to within it:
//
//	docscheck DIR
//
// Every relative link of a Markdown file must lead to a file, and its anchor to a
// heading there; every Go test that is named must exist. Addresses on the web are
// not followed. The exit status is 1 if anything is wrong.
package main

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docscheck DIR")
		os.Exit(2)
	}
	wrong, err := check(os.DirFS(os.Args[1]))
	if err != nil {
		fmt.Fprintln(os.Stderr, "docscheck:", err)
		os.Exit(1)
	}
	for _, line := range wrong {
		fmt.Println(line)
	}
	if len(wrong) > 0 {
		os.Exit(1)
	}
}

// document is what a Markdown file says about files, headings and tests.
type document struct {
	anchors map[string]bool
	links   []string
	tests   []string
}

var (
	testName     = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*\b`)
	testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
)

// check returns a line for each thing that is wrong in the repository root.
func check(root fs.FS) (wrong []string, err error) {
	documents, tests, err := read(root)
	if err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, fmt.Errorf("no Markdown file found")
	}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		d := documents[name]
		for _, link := range d.links {
			if why := broken(root, documents, name, link); why != "" {
				wrong = append(wrong, fmt.Sprintf("%s: %s: %s", name, link, why))
			}
		}
		for _, test := range d.tests {
			if !tests[test] {
				wrong = append(wrong, fmt.Sprintf("%s: there is no test %s", name, test))
			}
		}
	}
	return wrong, nil
}

// read parses every Markdown file, and finds the names of all tests.
func read(root fs.FS) (documents map[string]*document, tests map[string]bool, err error) {
	documents, tests = map[string]*document{}, map[string]bool{}
	err = fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && skip(entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		switch {
		case path.Ext(name) == ".md":
			source, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			documents[name] = parse(source)
		case strings.HasSuffix(name, "_test.go"):
			source, err := fs.ReadFile(root, name)
			if err != nil {
				return err
			}
			for _, m := range testFunction.FindAllSubmatch(source, -1) {
				tests[string(m[1])] = true
			}
		}
		return nil
	})
	return documents, tests, err
}

// skip tells folders that hold no documents of the repository.
func skip(folder string) bool {
	return strings.HasPrefix(folder, ".") || folder == "node_modules" || folder == "bin"
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.GFM),
	goldmark.WithParserOptions(parser.WithAutoHeadingID()),
)

func parse(source []byte) *document {
	d := &document{anchors: map[string]bool{}}
	tree := markdown.Parser().Parse(text.NewReader(source))
	visit := func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if id, ok := n.AttributeString("id"); ok {
				d.anchors[string(id.([]byte))] = true
			}
		case *ast.Link:
			d.links = append(d.links, string(n.Destination))
		case *ast.Image:
			d.links = append(d.links, string(n.Destination))
		case *ast.CodeSpan:
			for child := n.FirstChild(); child != nil; child = child.NextSibling() {
				if t, ok := child.(*ast.Text); ok {
					code := string(t.Segment.Value(source))
					d.tests = append(d.tests, testName.FindAllString(code, -1)...)
				}
			}
		}
		return ast.WalkContinue, nil
	}
	_ = ast.Walk(tree, visit) // which returns no error
	return d
}

// broken says why a link of a document leads nowhere, "" if it leads somewhere.
func broken(root fs.FS, documents map[string]*document, from, link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		return ""
	}
	to := from
	if u.Path != "" {
		to = path.Join(path.Dir(from), u.Path)
		if _, err := fs.Stat(root, to); err != nil {
			return "there is no such file"
		}
	}
	if u.Fragment == "" {
		return ""
	}
	target := documents[to]
	if target == nil {
		return filepath.Base(to) + " is no Markdown file"
	}
	if !target.anchors[u.Fragment] {
		return "there is no such heading"
	}
	return ""
}
