// SPDX-License-Identifier: MPL-2.0

package main

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestCheck(t *testing.T) {
	root := fstest.MapFS{}
	for name, content := range map[string]string{
		"README.md": "# Top\n\n[good](docs/a.md#what-it-says) [here](#top) [web](https://example.com/x#y) [dir](docs)\n" +
			"[gone](docs/b.md) [no heading](docs/a.md#else) [in code](x_test.go#x)\n\n`TestThere` `TestGone`, TestProse\n",
		"docs/a.md":          "# A\n\n## What it says\n\n[up](../README.md)\n\n    [not a link](nowhere.md)\n",
		"x_test.go":          "package x\n\nfunc TestThere(t *testing.T) {}\n",
		"node_modules/b.md":  "[gone](gone.md)\n",
		".hidden/ignored.md": "[gone](gone.md)\n",
	} {
		root[name] = &fstest.MapFile{Data: []byte(content)}
	}
	got, err := check(root)
	want := []string{
		"README.md: docs/b.md: there is no such file",
		"README.md: docs/a.md#else: there is no such heading",
		"README.md: x_test.go#x: x_test.go is no Markdown file",
		"README.md: there is no test TestGone",
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %q\nwant %q", err, got, want)
	}
	if _, err := check(fstest.MapFS{}); err == nil {
		t.Error("a repository without documents passes")
	}
}
