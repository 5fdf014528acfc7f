// SPDX-License-Identifier: MPL-2.0

// Package kerberos stands for Kerberos' sign-in, which the Agent of the small Vault
// does not know.
package kerberos

import "errors"

// LoginCfg is who signs in, and where.
type LoginCfg struct {
	Username, Service, Realm, KeytabPath, Krb5ConfPath string
	DisableFASTNegotiation                             bool
}

// GetAuthHeaderVal is refused.
func GetAuthHeaderVal(*LoginCfg) (string, error) {
	return "", errors.New("sign-in by kerberos is left out of the small Vault")
}
