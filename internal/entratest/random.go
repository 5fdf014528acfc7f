// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"time"

	"github.com/google/uuid"
)

// randomString returns n random bytes in base64url.
func randomString(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the process instead
	return base64.RawURLEncoding.EncodeToString(b)
}

// randomGUID returns a version 4 UUID.
func randomGUID() string { return uuid.NewString() }

// namedGUID returns the same GUID for the same name in every run, so that a
// script can know a user's object id beforehand.
func namedGUID(name string) string {
	sum := sha256.Sum256([]byte(name))
	return formatGUID([16]byte(sum[:16]))
}

func formatGUID(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// isGUID reports whether s is written as a GUID.
func isGUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	_, err := hex.DecodeString(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
	return err == nil
}

// randomBetween returns a whole number of seconds in [low, high].
func randomBetween(low, high time.Duration) time.Duration {
	span := int64((high-low)/time.Second) + 1
	n, err := rand.Int(rand.Reader, big.NewInt(span))
	if err != nil {
		return low
	}
	return low + time.Duration(n.Int64())*time.Second
}
