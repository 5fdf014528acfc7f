// SPDX-License-Identifier: MPL-2.0

package config

import (
	"fmt"
	"net/url"
	"strings"

	"vault-plugin-secrets-entra/internal/entra"
	"vault-plugin-secrets-entra/internal/problem"
)

// checkRedirectURI holds a redirect URI to what Entra and RFC 8252 section 8.3
// accept: https, or http on a loopback host; absolute and without a fragment.
func checkRedirectURI(uri string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return fmt.Errorf("%q is not a URL", uri)
	case u.Host == "" || u.Fragment != "" || u.User != nil:
		return fmt.Errorf("%q must be absolute, without user and fragment", uri)
	case u.Scheme == "https", u.Scheme == "http" && entra.IsLoopback(u.Hostname()):
		return nil
	default:
		return fmt.Errorf("%q must be https, or http on a loopback host", uri)
	}
}

// RedirectURI picks the redirect URI of a login: the first one if none is asked
// for, else the one asked for if it is allowed. A loopback URI that is allowed
// without a port stands for every port, as at Entra (RFC 8252 section 7.3).
func (c *Entry) RedirectURI(asked string) (string, error) {
	if asked == "" {
		return c.RedirectURIs[0], nil
	}
	for _, allowed := range c.RedirectURIs {
		if asked == allowed || sameButPort(asked, allowed) {
			return asked, nil
		}
	}
	return "", problem.Invalid("redirect_uri: %q is not among the config's redirect_uris", asked)
}

func sameButPort(asked, allowed string) bool {
	a, errA := url.Parse(asked)
	w, errW := url.Parse(allowed)
	if errA != nil || errW != nil || w.Port() != "" || !entra.IsLoopback(w.Hostname()) {
		return false
	}
	a.Host = strings.TrimSuffix(a.Host, ":"+a.Port())
	return a.String() == w.String()
}
