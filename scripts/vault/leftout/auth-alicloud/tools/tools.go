// SPDX-License-Identifier: MPL-2.0

// Package tools stands for the signing of Alibaba's sign-in.
package tools

import "errors"

// GenerateLoginData is refused.
func GenerateLoginData(string, any, string) (map[string]any, error) {
	return nil, errors.New("sign-in by alicloud is left out of the small Vault")
}
