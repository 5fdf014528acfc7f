// SPDX-License-Identifier: MPL-2.0

// Pack writes a zip archive whose bytes depend on nothing but its files:
//
//	pack ARCHIVE SECONDS FILE[=NAME]...
//
// Each FILE is stored under its base name, or as NAME. SECONDS since 1970 are the
// time that every entry has.
package main

import (
	"archive/zip"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: pack ARCHIVE SECONDS FILE[=NAME]...")
		os.Exit(2)
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(archive, seconds string, files []string) (err error) {
	since, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return err
	}
	out, err := os.Create(archive)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	w := zip.NewWriter(out)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(out, flate.BestCompression)
	})
	for _, file := range files {
		path, name, named := strings.Cut(file, "=")
		if !named {
			name = filepath.Base(path)
		}
		if err := add(w, path, name, time.Unix(since, 0).UTC()); err != nil {
			return err
		}
	}
	return w.Close()
}

func add(w *zip.Writer, path, name string, at time.Time) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
	header.SetMode(0o644)
	if info.Mode()&0o100 != 0 || strings.HasSuffix(name, ".exe") {
		header.SetMode(0o755)
	}
	entry, err := w.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, in)
	return err
}
