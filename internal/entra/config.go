// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// DefaultRequestTimeout is the patience for one HTTP call where Config.RequestTimeout is zero.
const DefaultRequestTimeout = 10 * time.Second

// Config says which app registration to be, and at which authority.
type Config struct {
	// one of Environments, "" = AzurePublicCloud; not used with AuthorityURL
	Environment string
	// GUID, verified domain, organizations, common or consumers; beside AuthorityURL an optional
	// GUID that `tid` must equal
	TenantID string
	// https, or http on a loopback host; endpoints come from its discovery document
	AuthorityURL    string
	Issuer          string            // expected `iss` in place of the discovery document's (B2C)
	ClientID        string            // application id
	ClientSecret    Secret            // "" = public client, or Certificate
	Certificate     *Certificate      // instead of a secret; nil = none
	AuthorizeParams map[string]string // extra authorize parameters
	Capabilities    []string          // client capabilities ("cp1"), sent in every claims parameter
	CAPEM           string            // trust roots added to the system's
	RequestTimeout  time.Duration     // for one HTTP call; 0 = DefaultRequestTimeout
	Now             func() time.Time  // nil = time.Now
	Transport       http.RoundTripper // nil = a pooled one of the client's own, with CAPEM's roots
}

// AllowsPrompt reports whether the authority knows a value of `prompt`; "" = none is sent. create,
// to sign up instead of in, is External ID's.
func (c Config) AllowsPrompt(prompt string) bool {
	switch prompt {
	case "", "login", "none", "consent", "select_account":
		return true
	case "create":
		return strings.HasSuffix(newAuthority(c).host(), ".ciamlogin.com")
	}
	return false
}

// FieldError names the configuration field, as the operator writes it, that cannot be used, and
// says what it must be.
type FieldError struct{ Field, Problem string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Problem }

// engineParams are the authorize parameters that must come from the login itself: taking one from
// configuration would undo its protection (state, PKCE, nonce) or change what is asked for.
var engineParams = []string{
	"client_id", "response_type", "redirect_uri", "scope", "state", "nonce",
	"code_challenge", "code_challenge_method", "response_mode", "client_info",
}

// Validate checks everything that can be checked without the network. Any error is a *FieldError.
func (c Config) Validate() error {
	checks := []func() *FieldError{
		c.checkClientID, c.checkAuthority, c.checkTenant, c.checkIssuer,
		c.checkCAPEM, c.checkAuthorizeParams, c.checkCapabilities, c.checkTimeout,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c Config) checkClientID() *FieldError {
	switch {
	case c.ClientID == "":
		return &FieldError{"client_id",
			"is required: the application (client) id of the app registration"}
	case strings.ContainsFunc(c.ClientID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return &FieldError{"client_id", "must be printable ASCII without spaces"}
	}
	return nil
}

func (c Config) checkAuthority() *FieldError {
	if environmentHost(environmentName(c.Environment)) == "" {
		return &FieldError{
			"environment",
			"must be one of " + strings.Join(Environments(), ", ") +
				"; for any other authority set authority_url",
		}
	}
	if c.AuthorityURL == "" {
		return nil
	}
	if strings.Contains(c.AuthorityURL, "/.well-known/") {
		return &FieldError{"authority_url",
			"must end before /.well-known/openid-configuration, which is added by the engine"}
	}
	if problem := endpointProblem(c.AuthorityURL, true); problem != "" {
		return &FieldError{"authority_url", problem}
	}
	if strings.ContainsAny(c.AuthorityURL, "?#") {
		return &FieldError{"authority_url", "must have no query and no fragment"}
	}
	return nil
}

// tenantDomain is a DNS name of two labels or more. Nothing else gets into the path of an
// endpoint's URL.
var (
	tenantDomain = regexp.MustCompile(
		`^(?i:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?i:[a-z][a-z0-9-]{0,61}[a-z0-9])$`)
	guid = regexp.MustCompile(`^(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})$`)
)

func (c Config) checkTenant() *FieldError {
	if c.AuthorityURL != "" {
		if c.TenantID != "" && !guid.MatchString(c.TenantID) {
			return &FieldError{"tenant_id", "must be a tenant GUID (or empty) beside authority_url"}
		}
		return nil
	}
	switch tenant := strings.ToLower(c.TenantID); {
	case tenant == "":
		return &FieldError{"tenant_id", "is required unless authority_url is set"}
	case isSharedTenant(tenant), guid.MatchString(tenant):
		return nil
	case len(tenant) <= 253 && tenantDomain.MatchString(tenant):
		return nil
	}
	return &FieldError{"tenant_id",
		"must be a tenant GUID, a verified domain, organizations, common or consumers"}
}

func (c Config) checkIssuer() *FieldError {
	if c.Issuer == "" {
		return nil
	}
	if problem := endpointProblem(c.Issuer, true); problem != "" {
		return &FieldError{"issuer", problem}
	}
	if strings.ContainsAny(c.Issuer, "?#") { // OpenID Connect Core section 2, iss
		return &FieldError{"issuer", "must have no query and no fragment"}
	}
	return nil
}

func (c Config) checkCAPEM() *FieldError {
	if c.CAPEM == "" {
		return nil
	}
	if _, err := parseCAPEM(c.CAPEM); err != nil {
		return err
	}
	return nil
}

func (c Config) checkAuthorizeParams() *FieldError {
	for name, value := range c.AuthorizeParams {
		if strings.TrimSpace(name) == "" {
			return &FieldError{"authorize_params", "holds a parameter without a name"}
		}
		for _, own := range engineParams {
			if strings.EqualFold(name, own) {
				return &FieldError{"authorize_params",
					"must not hold " + own + ", which the engine sets itself"}
			}
		}
		if name == "claims" && !isJSONObject(value) {
			return &FieldError{"authorize_params", "claims must be a JSON object"}
		}
	}
	return nil
}

func (c Config) checkCapabilities() *FieldError {
	for _, capability := range c.Capabilities {
		if capability == "" ||
			strings.ContainsFunc(capability, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return &FieldError{"client_capabilities", "must be words such as cp1"}
		}
	}
	return nil
}

func (c Config) checkTimeout() *FieldError {
	if c.RequestTimeout < 0 {
		return &FieldError{"request_timeout", "must not be negative"}
	}
	return nil
}

// parseCAPEM returns the certificates of a PEM bundle. Anything in it that is not a certificate is
// refused and not repeated: it may be a private key that was pasted into the wrong field.
func parseCAPEM(bundle string) ([]*x509.Certificate, *FieldError) {
	var roots []*x509.Certificate
	rest := []byte(strings.TrimSpace(bundle))
	for len(rest) > 0 {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, &FieldError{"ca_pem", "must be certificates in PEM form and nothing else"}
		}
		if block.Type != "CERTIFICATE" {
			return nil, &FieldError{"ca_pem",
				"must hold certificates only, and one block is of another type"}
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &FieldError{"ca_pem", "holds a certificate that cannot be parsed"}
		}
		roots = append(roots, root)
		rest = []byte(strings.TrimSpace(string(rest)))
	}
	if len(roots) == 0 {
		return nil, &FieldError{"ca_pem", "holds no certificate"}
	}
	return roots, nil
}

// endpointProblem says what is wrong with a URL that secrets are sent to or keys are fetched from;
// "" = nothing.
func endpointProblem(raw string, loopbackHTTP bool) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "":
		return "must be an absolute https URL"
	case u.User != nil:
		return "must hold no user name or password"
	case u.Scheme == "https":
		return ""
	case u.Scheme == "http" && loopbackHTTP && IsLoopback(u.Hostname()):
		return ""
	case u.Scheme == "http" && loopbackHTTP:
		return "must be https (http is for loopback hosts only)"
	}
	return "must be an absolute https URL"
}

// IsLoopback reports whether a URL's host name, without port and brackets, means this machine:
// localhost (RFC 6761 section 6.3) or an address of 127.0.0.0/8 or ::1.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func isJSONObject(text string) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}
