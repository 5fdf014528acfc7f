// SPDX-License-Identifier: MPL-2.0

// Release makes what a release has beside its binaries, the same bytes each time:
//
//	release image -out FILE -version V -commit C -time SECONDS -licence FILE OS/ARCH=BINARY...
//	release push FILE REFERENCE
//	release provenance -out FILE -version V -commit C -time SECONDS -go VERSION FILE...
//	release sign -key FILE -time SECONDS FILE
//
// An image is an OCI layout in a tar file; push puts it into a registry, with the logins that
// docker and podman keep. A signature is FILE.sig, detached OpenPGP; the passphrase of the key
// comes from SIGNING_KEY_PASSPHRASE.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

var errUsage = errors.New("usage: release image|push|provenance|sign …, see go doc")

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// build is what is released, and when its commit was made.
type build struct {
	version, commit, goVersion string
	seconds                    int64
}

func (b build) time() time.Time { return time.Unix(b.seconds, 0).UTC() }

func run(args []string) error {
	if len(args) == 0 {
		return errUsage
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	var b build
	flags.StringVar(&b.version, "version", "", "the `version`, vX.Y.Z")
	flags.StringVar(&b.commit, "commit", "", "the `commit`, in full")
	flags.StringVar(&b.goVersion, "go", "", "the Go `version`")
	flags.Int64Var(&b.seconds, "time", 0, "the commit's time, in `seconds` since 1970")
	out := flags.String("out", "", "the `file` that is written")
	licence := flags.String("licence", "", "the licence's `file`")
	key := flags.String("key", "", "a `file` with the armored OpenPGP key")
	builder := flags.String("builder", "", "the URI of `who` builds")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	rest := flags.Args()
	switch {
	case args[0] == "image" && len(rest) > 0:
		return writeImage(*out, b, *licence, rest)
	case args[0] == "push" && len(rest) == 2:
		digest, err := push(rest[0], rest[1])
		if err == nil {
			fmt.Println(digest)
		}
		return err
	case args[0] == "provenance" && len(rest) > 0:
		return writeProvenance(*out, b, *builder, rest)
	case args[0] == "sign" && len(rest) == 1:
		return sign(rest[0], *key, os.Getenv("SIGNING_KEY_PASSPHRASE"), b.time())
	}
	return errUsage
}
