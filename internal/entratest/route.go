// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"net/http"
	"strings"
)

// route finds the endpoint of a request: /<tenant>/<endpoint>, in B2C
// /<tenant>/<policy>/<endpoint>.
func (s *Simulator) route(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/" {
		s.welcome(w, r)
		return
	}
	if strings.HasPrefix(r.URL.Path, controlPrefix) {
		s.control.ServeHTTP(w, r)
		return
	}
	segment, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	policy := ""
	if head, tail, ok := strings.Cut(rest, "/"); ok &&
		strings.HasPrefix(strings.ToLower(head), "b2c_1") {
		policy, rest = head, tail
	}
	serve := func(endpoint Endpoint, handle func(*call)) {
		s.serve(w, r, endpoint, segment, policy, handle)
	}
	switch strings.ToLower(rest) {
	case "v2.0/.well-known/openid-configuration":
		serve(Discovery, (*call).discovery)
	case "discovery/v2.0/keys":
		serve(Keys, (*call).publicKeys)
	case "discovery/instance":
		serve(Instance, (*call).instance)
	case "oauth2/v2.0/authorize":
		serve(Authorize, (*call).authorize)
	case "oauth2/v2.0/token":
		serve(Token, (*call).token)
	case "oauth2/v2.0/devicecode":
		serve(DeviceCode, (*call).deviceCode)
	case "login":
		serve(signInPage, (*call).signIn)
	case "oauth2/deviceauth":
		serve(devicePage, (*call).deviceAuth)
	case "oauth2/v2.0/logout":
		serve(signInPage, (*call).signOut)
	default:
		http.NotFound(w, r)
	}
}

// The pages a person sees are logged under names of their own.
const (
	signInPage Endpoint = "login"
	devicePage Endpoint = "deviceauth"
)
