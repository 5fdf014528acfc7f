// SPDX-License-Identifier: MPL-2.0

package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// release is what a local release server holds: a version whose binary is a script.
type release struct {
	version string
	files   map[string][]byte // by path
	key     string            // a file with the public key
	hangs   string            // the end of a path that is never answered to the end
}

const script = "#!/bin/sh\necho Vault v%s, a script\n"

// newRelease makes a release as HashiCorp's server has them, signed by a key of its own.
func newRelease(t *testing.T, version string) *release {
	t.Helper()
	key, err := openpgp.NewEntity("Releases", "", "releases@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	w, err := armor.Encode(&public, openpgp.PublicKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := &release{version: version, key: filepath.Join(t.TempDir(), "key.asc")}
	if err := os.WriteFile(r.key, public.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	entry, err := z.Create("vault")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(entry, script, version)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	folder := "/vault/" + version + "/"
	name := fmt.Sprintf("vault_%s_%s_%s.zip", version, runtime.GOOS, runtime.GOARCH)
	sums := fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(archive.Bytes()), name)
	index, err := json.Marshal(map[string]any{
		"name": "vault", "version": version, "shasums": "vault_SHA256SUMS",
		"shasums_signatures": []string{"vault_SHA256SUMS.sig"},
		"builds": []map[string]string{{
			"name": "vault", "version": version, "os": runtime.GOOS, "arch": runtime.GOARCH,
			"filename": name, "url": "https://elsewhere.example" + folder + name,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.files = map[string][]byte{
		folder + "index.json":       index,
		folder + name:               archive.Bytes(),
		folder + "vault_SHA256SUMS": sums,
	}
	r.sign(t, key)
	return r
}

func (r *release) path(suffix string) string {
	for path := range r.files {
		if strings.HasSuffix(path, suffix) {
			return path
		}
	}
	return "none ends in " + suffix
}

func (r *release) sign(t *testing.T, key *openpgp.Entity) {
	t.Helper()
	sums := r.path("SHA256SUMS")
	var signature bytes.Buffer
	if err := openpgp.DetachSign(&signature, key, bytes.NewReader(r.files[sums]), nil); err != nil {
		t.Fatal(err)
	}
	r.files[sums+".sig"] = signature.Bytes()
}

func (r *release) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	content, found := r.files[req.URL.Path]
	if !found {
		http.NotFound(w, req)
		return
	}
	kind := "application/zip"
	if strings.HasSuffix(req.URL.Path, ".json") {
		kind = "application/json"
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	if r.hangs != "" && strings.HasSuffix(req.URL.Path, r.hangs) {
		w.Write(content[:len(content)/2])
		w.(http.Flusher).Flush()
		<-req.Context().Done()
		return
	}
	w.Write(content)
}
