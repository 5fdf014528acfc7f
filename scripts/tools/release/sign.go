// SPDX-License-Identifier: MPL-2.0

package main

import (
	"crypto"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// sign writes FILE.sig. The time in it is that of the commit, and nothing in it is random, so
// the same key gives the same bytes.
func sign(file, keyFile, passphrase string, at time.Time) (err error) {
	keys, err := os.Open(keyFile)
	if err != nil {
		return err
	}
	defer keys.Close()
	ring, err := openpgp.ReadArmoredKeyRing(keys)
	if err != nil {
		return fmt.Errorf("%s: %w", keyFile, err)
	}
	if len(ring) != 1 || ring[0].PrivateKey == nil {
		return fmt.Errorf("%s does not hold one private key", keyFile)
	}
	key := ring[0]
	if err := key.DecryptPrivateKeys([]byte(passphrase)); err != nil {
		return fmt.Errorf("%s: %w (SIGNING_KEY_PASSPHRASE)", keyFile, err)
	}
	if made := key.PrimaryKey.CreationTime; at.Before(made) {
		at = made // a signature from before its key would not be believed
	}
	random := false
	config := &packet.Config{
		DefaultHash: crypto.SHA512, Time: func() time.Time { return at },
		NonDeterministicSignaturesViaNotation: &random,
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer content.Close()
	out, err := os.Create(file + ".sig")
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			os.Remove(out.Name())
		}
	}()
	return openpgp.DetachSign(out, key, content, config)
}
