// SPDX-License-Identifier: MPL-2.0

// Package signatures stands for the signing of Cloud Foundry's sign-in.
package signatures

import (
	"errors"
	"time"
)

// TimeFormat is how a time is written.
const TimeFormat = time.RFC3339

// SignatureData is what is signed.
type SignatureData struct {
	SigningTime                  time.Time
	Role, CFInstanceCertContents string
}

// Sign is refused.
func Sign(string, *SignatureData) (string, error) {
	return "", errors.New("sign-in by cf is left out of the small Vault")
}
