// SPDX-License-Identifier: MPL-2.0

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	slsa "github.com/in-toto/attestation/go/predicates/provenance/v1"
	intoto "github.com/in-toto/attestation/go/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

const (
	testCommit  = "0123456789abcdef0123456789abcdef01234567"
	testSeconds = "1790000000"
)

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// An image goes to a registry and comes back, for each platform, with the binary in it that
// was put there, and nothing else but the licence; and it is the same bytes each time.
func TestImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	binaries := map[string]string{"amd64": "a binary", "arm64": "another"}
	args := []string{
		"image", "-version", "v1.2.3", "-commit", testCommit, "-time", testSeconds,
		"-licence", write(t, dir, "LICENSE", "MPL"),
	}
	for _, arch := range []string{"amd64", "arm64"} {
		args = append(args, "linux/"+arch+"="+write(t, dir, arch, binaries[arch]))
	}
	var archives [2]string
	for i := range archives {
		archives[i] = filepath.Join(t.TempDir(), "image.tar")
		out := append([]string{args[0], "-out", archives[i]}, args[1:]...)
		if err := run(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(read(t, archives[0]), read(t, archives[1])) {
		t.Error("two archives of the same binaries differ")
	}

	server := httptest.NewServer(registry.New())
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/entra/plugin:1.2.3"
	digest, err := push(archives[0], reference)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := index.Digest(); err != nil || got != digest {
		t.Errorf("the registry has the index %v, %v, pushed was %v", got, err, digest)
	}
	for arch, binary := range binaries {
		platform := v1.Platform{OS: "linux", Architecture: arch}
		image, err := remote.Image(ref, remote.WithPlatform(platform))
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.OS != "linux" || config.Architecture != arch || config.Config.User != "" ||
			len(config.Config.Entrypoint) != 1 ||
			config.Config.Entrypoint[0] != "/vault-plugin-secrets-entra" {
			t.Errorf("%s: the configuration is %+v", arch, config)
		}
		for label, want := range map[string]string{
			"org.opencontainers.image.version":  "v1.2.3",
			"org.opencontainers.image.revision": testCommit,
			"org.opencontainers.image.licenses": "MPL-2.0",
			"org.opencontainers.image.created":  "2026-09-21T14:13:20Z",
		} {
			if got := config.Config.Labels[label]; got != want {
				t.Errorf("%s: label %s is %q, want %q", arch, label, got, want)
			}
		}
		files := map[string]string{}
		for r := tar.NewReader(mutate.Extract(image)); ; {
			header, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = string(content)
			if header.Name == program && header.Mode != 0o555 {
				t.Errorf("%s: the binary's mode is %o", arch, header.Mode)
			}
		}
		if len(files) != 2 || files["LICENSE"] != "MPL" || files[program] != binary {
			t.Errorf("%s holds %q", arch, files)
		}
	}
}

// What was not made here is not pushed.
func TestPushRefuses(t *testing.T) {
	t.Parallel()
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	if err := w.WriteHeader(&tar.Header{Name: "../out", Size: 1, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	archive := write(t, t.TempDir(), "evil.tar", files.String())
	_, err := push(archive, "127.0.0.1:1/x:1")
	if err == nil || !strings.Contains(err.Error(), `holds "../out"`) {
		t.Errorf("push of a path outside: %v", err)
	}
}

// newKey makes a key, and returns the files of its private and its public half.
func newKey(t *testing.T, passphrase string) (private, public string) {
	t.Helper()
	config := &packet.Config{Time: func() time.Time { return time.Unix(1700000000, 0) }}
	key, err := openpgp.NewEntity("Release test", "", "test@example.com", config)
	if err != nil {
		t.Fatal(err)
	}
	if passphrase != "" {
		if err := key.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
	}
	var armored [2]bytes.Buffer
	for i, kind := range []string{openpgp.PrivateKeyType, openpgp.PublicKeyType} {
		w, err := armor.Encode(&armored[i], kind, nil)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			err = key.SerializePrivateWithoutSigning(w, nil)
		} else {
			err = key.Serialize(w)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	return write(t, dir, "key.asc", armored[0].String()), write(t, dir, "pub.asc", armored[1].String())
}

// verify checks a signature as an operator does: with gpg, or where that lacks with the
// OpenPGP package that Vault's own tools use.
func verify(t *testing.T, public, signature, file string) error {
	t.Helper()
	if gpg, err := exec.LookPath("gpg"); err == nil {
		home, err := os.MkdirTemp("", "gpg") // its sockets want a short path
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(home)
		base := []string{"--homedir", home, "--batch", "--no-autostart", "--trust-model", "always"}
		if out, err := exec.Command(gpg, append(base, "--import", public)...).CombinedOutput(); err != nil {
			t.Fatalf("gpg --import: %v: %s", err, out)
		}
		return exec.Command(gpg, append(base, "--verify", signature, file)...).Run()
	}
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(read(t, public)))
	if err != nil {
		t.Fatal(err)
	}
	_, err = openpgp.CheckDetachedSignature(
		ring, bytes.NewReader(read(t, file)), bytes.NewReader(read(t, signature)), nil)
	return err
}

func TestSignature(t *testing.T) {
	private, public := newKey(t, "open sesame")
	t.Setenv("SIGNING_KEY_PASSPHRASE", "open sesame")
	file := write(t, t.TempDir(), "SHA256SUMS", "abc  file\n")
	var signatures [2][]byte
	for i := range signatures {
		if err := run([]string{"sign", "-key", private, "-time", testSeconds, file}); err != nil {
			t.Fatal(err)
		}
		signatures[i] = read(t, file+".sig")
	}
	if !bytes.Equal(signatures[0], signatures[1]) {
		t.Error("two signatures by the same key differ")
	}
	if err := verify(t, public, file+".sig", file); err != nil {
		t.Errorf("the signature is refused: %v", err)
	}
	other := write(t, t.TempDir(), "SHA256SUMS", "abd  file\n")
	if err := verify(t, public, file+".sig", other); err == nil {
		t.Error("the signature is good for another file")
	}
	_, stranger := newKey(t, "")
	if err := verify(t, stranger, file+".sig", file); err == nil {
		t.Error("the signature is good for another key")
	}

	t.Setenv("SIGNING_KEY_PASSPHRASE", "wrong")
	if err := os.Remove(file + ".sig"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{private, public, file, "absent"} {
		if err := run([]string{"sign", "-key", key, "-time", testSeconds, file}); err == nil {
			t.Errorf("signed with %s", filepath.Base(key))
		}
		if _, err := os.Stat(file + ".sig"); err == nil {
			t.Errorf("a signature is left by a refused %s", filepath.Base(key))
		}
	}
}

// Each statement is what in-toto's and SLSA's own packages take for one, and names its file by
// the checksum of the file that is there.
func TestProvenance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	files := []string{write(t, dir, "one", "1"), write(t, dir, "two.zip", "2")}
	out := filepath.Join(dir, "provenance.jsonl")
	args := []string{
		"provenance", "-out", out, "-version", "v1.2.3", "-commit", testCommit,
		"-time", testSeconds, "-go", "go1.26.0", "-builder", "https://builder.example/1",
	}
	if err := run(append(args, files...)); err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(read(t, out)), []byte("\n"))
	if len(lines) != len(files) {
		t.Fatalf("%d statements of %d files", len(lines), len(files))
	}
	for i, line := range lines {
		checkStatement(t, line, files[i])
	}
	if err := run(append(args, filepath.Join(dir, "absent"))); err == nil {
		t.Error("there is provenance of a file that is not there")
	}
}

func checkStatement(t *testing.T, line []byte, file string) {
	t.Helper()
	var s intoto.Statement
	if err := protojson.Unmarshal(line, &s); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if err := s.Validate(); err != nil {
		t.Errorf("the statement: %v", err)
	}
	text, err := protojson.Marshal(s.GetPredicate())
	if err != nil {
		t.Fatal(err)
	}
	var p slsa.Provenance
	if err := protojson.Unmarshal(text, &p); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if err := p.Validate(); err != nil {
		t.Errorf("the predicate: %v", err)
	}
	sum := sha256.Sum256(read(t, file))
	subject := s.GetSubject()[0]
	if s.GetPredicateType() != "https://slsa.dev/provenance/v1" || len(s.GetSubject()) != 1 ||
		subject.GetName() != filepath.Base(file) ||
		subject.GetDigest()["sha256"] != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: the statement is %s", file, line)
	}
	source := p.GetBuildDefinition().GetResolvedDependencies()[0]
	if source.GetDigest()["gitCommit"] != testCommit ||
		p.GetRunDetails().GetBuilder().GetId() != "https://builder.example/1" {
		t.Errorf("%s: the predicate is %s", file, text)
	}
}
