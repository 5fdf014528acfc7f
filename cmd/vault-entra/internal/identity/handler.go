// SPDX-License-Identifier: MPL-2.0

package identity

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vault-plugin-secrets-entra/cmd/vault-entra/internal/vaultclient"
)

// The paths of the protocols. All but the first stand behind the secret.
const (
	pathAppService = "/msi/token"
	pathIMDS       = "/metadata/identity/oauth2/token"
	pathMSI        = "/msi/token"
)

// What the protocols call their versions.
const (
	versionAppService = "2019-08-01"
	versionIMDS       = "2018-02-01" // the least: IMDS takes later ones as well
)

// handler routes to the protocols.
func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathAppService, s.appService)
	mux.HandleFunc("GET /{secret}"+pathIMDS, s.behindSecret(s.imds))
	mux.HandleFunc("GET /{secret}"+pathMSI, s.behindSecret(s.imds))
	mux.HandleFunc("POST /{secret}"+pathMSI, s.behindSecret(s.cloudShell))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		refuse(w, http.StatusBadRequest, "invalid_request",
			"there is nothing at this path: it is no managed identity endpoint")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.addressed(r.Host) {
			refuse(w, http.StatusForbidden, "forbidden",
				"the Host header is not that of this endpoint")
			return
		}
		if path := strings.TrimSuffix(r.URL.Path, "/"); path != "" {
			r.URL.Path = path // MSAL for Node.js adds a slash
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		mux.ServeHTTP(w, r)
	})
}

// addressed reports whether a Host header names this endpoint. A page in a browser that got here by
// a name of its own (DNS rebinding) sends that name.
func (s *Server) addressed(host string) bool {
	if s.host == "" {
		return true // no browser opens a unix socket
	}
	_, port, _ := net.SplitHostPort(s.host)
	name, given, err := net.SplitHostPort(host)
	if err != nil || given != port {
		return false
	}
	ip := net.ParseIP(name)
	return strings.EqualFold(name, "localhost") || ip != nil && ip.IsLoopback()
}

// same compares a secret in constant time.
func (s *Server) same(given string) bool {
	return subtle.ConstantTimeCompare([]byte(given), []byte(s.secret)) == 1
}

// behindSecret refuses a path without the secret.
func (s *Server) behindSecret(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.same(r.PathValue("secret")) {
			refuse(w, http.StatusUnauthorized, "unauthorized",
				"the address does not hold the secret of this endpoint")
			return
		}
		// The header that a page in a browser cannot send (IMDS: "Metadata: true").
		if !strings.EqualFold(r.Header.Get("Metadata"), "true") {
			refuse(w, http.StatusBadRequest, "invalid_request",
				"the header Metadata: true is missing")
			return
		}
		next(w, r)
	}
}

// appService is App Service's protocol of 2019-08-01.
func (s *Server) appService(w http.ResponseWriter, r *http.Request) {
	if !s.same(r.Header.Get("X-IDENTITY-HEADER")) {
		refuse(w, http.StatusUnauthorized, "unauthorized",
			"X-IDENTITY-HEADER is not the secret of this endpoint")
		return
	}
	query := r.URL.Query()
	if version := query.Get("api-version"); version != versionAppService {
		refuse(w, http.StatusBadRequest, "invalid_request",
			fmt.Sprintf("api-version %q is not supported, but %s", version, versionAppService))
		return
	}
	s.answer(w, r, resourceOf(query))
}

// imds is the protocol of virtual machines, which Terraform's ARM_MSI_ENDPOINT speaks as well.
func (s *Server) imds(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	if version := query.Get("api-version"); version != "" && version < versionIMDS {
		refuse(w, http.StatusBadRequest, "invalid_request",
			fmt.Sprintf("api-version %q is not supported, but %s and later", version, versionIMDS))
		return
	}
	s.answer(w, r, resourceOf(query))
}

// cloudShell is Cloud Shell's protocol: a form.
func (s *Server) cloudShell(w http.ResponseWriter, r *http.Request) {
	err := r.ParseForm()
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "invalid_request",
			fmt.Sprintf("a request has at most %d bytes", maxBody))
	case err != nil:
		refuse(w, http.StatusBadRequest, "invalid_request", "the form cannot be read")
	default:
		s.answer(w, r, resourceOf(r.Form))
	}
}

// resourceOf is what a request asks a token for: by resource, or by scope as some clients write it.
func resourceOf(values url.Values) string {
	if resource := values.Get("resource"); resource != "" {
		return resource
	}
	return values.Get("scope")
}

// answer gives the token of a resource.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, resource string) {
	if resource == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "resource is missing")
		return
	}
	token, err := s.token(r.Context(), resource)
	if err != nil {
		refuseFor(w, err)
		return
	}
	left := max(0, int64(time.Until(token.Expiry).Seconds()))
	send(w, http.StatusOK, map[string]string{
		"access_token": token.AccessToken,
		"client_id":    token.ClientID,
		"expires_in":   strconv.FormatInt(left, 10),
		"expires_on":   strconv.FormatInt(token.Expiry.Unix(), 10), // seconds since 1970
		"not_before":   strconv.FormatInt(token.Obtained.Unix(), 10),
		"resource":     resource,
		"token_type":   token.TokenType,
	})
}

// refuseFor says why there is no token. What may go away by itself has a status that the SDKs try
// again (429, 503, 502); what a person has to mend has one that they do not (403), and whose
// body they print. 400 and 404 would not do: at IMDS the first means that there is no identity, and
// the second is tried again.
func refuseFor(w http.ResponseWriter, err error) {
	var trouble *vaultclient.Error
	if !errors.As(err, &trouble) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			refuse(w, http.StatusGatewayTimeout, "timeout", "Vault did not answer in time")
			return
		}
		refuse(w, http.StatusForbidden, "invalid_resource", err.Error())
		return
	}
	status, code := http.StatusForbidden, "access_denied"
	switch trouble.Class {
	case vaultclient.LoginRequired, vaultclient.UnknownAccount, vaultclient.NoVaultToken:
		code = "login_required"
	case vaultclient.Throttled:
		status, code = http.StatusTooManyRequests, "throttled"
	case vaultclient.Sealed, vaultclient.Unreachable:
		status, code = http.StatusServiceUnavailable, "vault_unavailable"
	case vaultclient.EntraUnavailable:
		status, code = http.StatusBadGateway, "entra_unavailable"
	}
	if trouble.RetryAfter > 0 && status != http.StatusForbidden {
		seconds := int64((trouble.RetryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	refuse(w, status, code, trouble.Error())
}

// refuse answers as Entra's endpoints do (RFC 6749 section 5.2), with a message as App Service has
// beside it.
func refuse(w http.ResponseWriter, status int, code, text string) {
	send(w, status, map[string]string{
		"error": code, "error_description": text, "message": text,
	})
}

func send(w http.ResponseWriter, status int, body map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}
