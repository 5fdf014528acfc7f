// SPDX-License-Identifier: MPL-2.0

package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const program = "vault-plugin-secrets-entra"

// writeImage writes an image for each platform, FROM scratch, and their index.
func writeImage(out string, b build, licence string, binaries []string) error {
	labels := map[string]string{
		"org.opencontainers.image.title":       program,
		"org.opencontainers.image.description": "Vault secrets engine for Microsoft Entra ID",
		"org.opencontainers.image.version":     b.version,
		"org.opencontainers.image.revision":    b.commit,
		"org.opencontainers.image.created":     b.time().Format(time.RFC3339),
		"org.opencontainers.image.licenses":    "MPL-2.0",
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, binary := range binaries {
		platform, file, named := strings.Cut(binary, "=")
		system, arch, parted := strings.Cut(platform, "/")
		if !named || !parted {
			return fmt.Errorf("%q is not OS/ARCH=BINARY", binary)
		}
		image, err := imageOf(v1.Platform{OS: system, Architecture: arch}, file, licence, labels, b)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add: image,
			Descriptor: v1.Descriptor{
				Platform: &v1.Platform{OS: system, Architecture: arch},
			},
		})
	}
	index = mutate.Annotations(index, labels).(v1.ImageIndex)
	dir, err := os.MkdirTemp(filepath.Dir(out), ".image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": strings.TrimPrefix(b.version, "v"),
	}))
	if err != nil {
		return err
	}
	return archive(out, dir, b.time())
}

func imageOf(
	platform v1.Platform, binary, licence string, labels map[string]string, b build,
) (v1.Image, error) {
	var files bytes.Buffer
	w := tar.NewWriter(&files)
	for _, file := range []struct {
		path, name string
		mode       int64
	}{{licence, "LICENSE", 0o444}, {binary, program, 0o555}} {
		content, err := os.ReadFile(file.path)
		if err != nil {
			return nil, err
		}
		header := &tar.Header{
			Name: file.name, Mode: file.mode, Size: int64(len(content)), ModTime: b.time(),
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.Append(image, mutate.Addendum{
		Layer:   layer,
		History: v1.History{Created: v1.Time{Time: b.time()}, CreatedBy: "scripts/release.sh"},
	})
	if err != nil {
		return nil, err
	}
	image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture,
		Created: v1.Time{Time: b.time()},
		Config:  v1.Config{Entrypoint: []string{"/" + program}, Labels: labels},
		RootFS:  configOf(image).RootFS, History: configOf(image).History,
	})
	if err != nil {
		return nil, err
	}
	return mutate.Annotations(image, labels).(v1.Image), nil
}

// configOf is the configuration of an image that was made here, which has one.
func configOf(image v1.Image) *v1.ConfigFile {
	config, err := image.ConfigFile()
	if err != nil {
		return &v1.ConfigFile{}
	}
	return config
}

// archive writes the files of a folder to a tar file, in order of their names.
func archive(out, dir string, at time.Time) (err error) {
	file, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	w := tar.NewWriter(file)
	folder := os.DirFS(dir)
	err = fs.WalkDir(folder, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		header := &tar.Header{
			Name: name, Mode: 0o644, Size: int64(len(content)), ModTime: at,
			Typeflag: tar.TypeReg, Format: tar.FormatUSTAR,
		}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	return errors.Join(err, w.Close())
}

// push puts an archive's images and their index into a registry.
func push(archive, reference string) (v1.Hash, error) {
	ref, err := name.ParseReference(reference)
	if err != nil {
		return v1.Hash{}, err
	}
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer os.RemoveAll(dir)
	if err := extract(archive, dir); err != nil {
		return v1.Hash{}, err
	}
	all, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return v1.Hash{}, err
	}
	manifest, err := all.IndexManifest()
	if err != nil {
		return v1.Hash{}, err
	}
	if len(manifest.Manifests) != 1 {
		return v1.Hash{}, fmt.Errorf("%s holds %d indexes", archive, len(manifest.Manifests))
	}
	digest := manifest.Manifests[0].Digest
	index, err := all.ImageIndex(digest)
	if err != nil {
		return v1.Hash{}, err
	}
	return digest, remote.WriteIndex(ref, index, remote.WithAuthFromKeychain(authn.DefaultKeychain))
}

func extract(archive, dir string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer file.Close()
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !filepath.IsLocal(header.Name) {
			return fmt.Errorf("%s holds %q", archive, header.Name)
		}
		path := filepath.Join(dir, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return err
		}
	}
}
