// SPDX-License-Identifier: MPL-2.0

// Vaultrelease fetches a release of Vault by HashiCorp's own hc-install, which checks the
// signature of the checksums and the archive against them:
//
//	vaultrelease [-url URL] [-key FILE] [-patience TIME] VERSION DIR
//
// The binary is put into DIR, and its path is printed. URL is a mirror of HashiCorp's
// releases, FILE the armored OpenPGP key that its checksums are signed by. A server that
// sends nothing for TIME is given up. Proxies come from the environment, as for curl.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-version"
	"github.com/hashicorp/hc-install/product"
	"github.com/hashicorp/hc-install/releases"
)

// longest is what a download may take as long as bytes come: then building is quicker.
const longest = 5 * time.Minute

func main() {
	url := flag.String("url", "", "a mirror's `URL`; HashiCorp's server by default")
	key := flag.String("key", "", "a `file` with the key of the checksums; HashiCorp's by default")
	patience := flag.Duration("patience", 10*time.Second, "the longest `time` without a byte")
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	binary, err := fetch(ctx, *url, *key, *patience, flag.Arg(0), flag.Arg(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, "vaultrelease:", err)
		os.Exit(1)
	}
	fmt.Println(binary)
}

func fetch(
	ctx context.Context, url, keyFile string, patience time.Duration, number, dir string,
) (string, error) {
	wanted, err := version.NewVersion(number)
	if err != nil {
		return "", err
	}
	source := &releases.ExactVersion{
		Product: product.Vault, Version: wanted, InstallDir: dir, Timeout: longest, ApiBaseURL: url,
	}
	if keyFile != "" {
		key, err := os.ReadFile(keyFile)
		if err != nil {
			return "", err
		}
		source.ArmoredPublicKey = string(key)
	}
	// What is downloaded is put here first; the caller removes DIR, however this ends.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	steps := &steps{}
	source.SetLogger(log.New(steps, "", 0))
	go watch(ctx, cancel, steps, dir, patience)
	binary, err := source.Install(ctx)
	if wrong := steps.mismatch.Load(); wrong != nil { // hc-install 0.9.5 loses this error
		return "", errors.New(*wrong)
	}
	if cause := context.Cause(ctx); cause != nil {
		return "", cause
	}
	return binary, err
}

func silence(patience time.Duration) error {
	return fmt.Errorf("the release server sent nothing for %s", patience)
}

// steps counts what hc-install logs that it has done, which is how far it is; and keeps
// the size of the archive and a wrong checksum, which stand there only.
type steps struct {
	done     atomic.Int64
	size     atomic.Int64
	mismatch atomic.Pointer[string]
}

var copying = regexp.MustCompile(`^copying .* \((\d+) bytes\)`)

func (s *steps) Write(line []byte) (int, error) {
	if len(line) > 0 && line[0] != '[' { // those with a level are about retries
		s.done.Add(1)
	}
	if bytes.HasPrefix(line, []byte("checksum does not match")) {
		wrong := strings.TrimSpace(string(line))
		s.mismatch.Store(&wrong)
	}
	if found := copying.FindSubmatch(line); found != nil {
		var size int64
		if _, err := fmt.Sscan(string(found[1]), &size); err == nil {
			s.size.Store(size)
		}
	}
	return len(line), nil
}

// watch says every few seconds how far the download is, and gives it up when it stands
// still.
func watch(
	ctx context.Context, cancel context.CancelCauseFunc, s *steps, dir string, patience time.Duration,
) {
	moved, said := time.Now(), time.Now()
	var last int64
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(100 * time.Millisecond):
		}
		size, err := bytesIn(dir)
		if err != nil {
			continue // a file that was just removed
		}
		if now := size + s.done.Load(); now != last {
			moved, last = time.Now(), now
		}
		if time.Since(moved) > patience {
			cancel(silence(patience))
			return
		}
		if time.Since(said) > 5*time.Second {
			said = time.Now()
			fmt.Fprintf(os.Stderr, "  %d of %d MB\n", size>>20, max(size, s.size.Load())>>20)
		}
	}
}

func bytesIn(dir string) (total int64, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		info, infoErr := os.Stat(filepath.Join(dir, entry.Name()))
		if infoErr != nil {
			err = errors.Join(err, infoErr)
			continue
		}
		total += info.Size()
	}
	return total, err
}
