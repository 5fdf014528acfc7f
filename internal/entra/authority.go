// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const defaultEnvironment = "AzurePublicCloud"

// cloud is one of Microsoft's separate clouds: its name in Vault's own azure engine, and the hosts
// that issue for each other there. The first is the one that discovery names.
type cloud struct {
	name  string
	hosts []string
}

// clouds are from Microsoft's "National clouds" page and from MSAL's list of trusted hosts. Tokens
// of v1 are issued by sts.windows.net, and by a host of its own in China.
var clouds = []cloud{
	{defaultEnvironment, []string{"login.microsoftonline.com", "login.windows.net",
		"login.microsoft.com", "sts.windows.net"}},
	{"AzureUSGovernmentCloud", []string{"login.microsoftonline.us", "login.usgovcloudapi.net",
		"login-us.microsoftonline.com", "sts.windows.net"}},
	{"AzureChinaCloud", []string{"login.partner.microsoftonline.cn", "login.chinacloudapi.cn",
		"sts.chinacloudapi.cn"}},
	{"BleuCloud", []string{"login.sovcloud-identity.fr"}},
	{"DelosCloud", []string{"login.sovcloud-identity.de"}},
	{"GovSGCloud", []string{"login.sovcloud-identity.sg"}},
}

// Environments are the names that Config.Environment may have.
func Environments() []string {
	var names []string
	for _, c := range clouds {
		names = append(names, c.name)
	}
	return names
}

// environmentHost is the host of an environment; "" = there is none of that name.
func environmentHost(name string) string {
	for _, c := range clouds {
		if c.name == name {
			return c.hosts[0]
		}
	}
	return ""
}

// personalTenant is the `tid` of everybody with a personal Microsoft account.
const personalTenant = "9188040d-6c67-4c5b-b112-36a304b66dad"

// tenantPlaceholder stands for the user's own tenant in the issuer of an authority that several
// tenants share.
const tenantPlaceholder = "{tenantid}"

func environmentName(name string) string {
	if name == "" {
		return defaultEnvironment
	}
	return name
}

// isSharedTenant reports whether Entra takes the word in place of a tenant.
func isSharedTenant(tenant string) bool {
	return tenant == "common" || tenant == "organizations" || tenant == "consumers"
}

// authority is where a client signs people in, as far as configuration tells.
type authority struct {
	base string // discovery is at base + /.well-known/openid-configuration
	// a GUID, a domain or common, organizations, consumers; "" = whatever stands behind base
	tenant string
	custom bool // base is Config.AuthorityURL: endpoints come from discovery
}

func newAuthority(c Config) authority {
	tenant := strings.ToLower(c.TenantID)
	if c.AuthorityURL != "" {
		return authority{base: strings.TrimRight(c.AuthorityURL, "/"), tenant: tenant, custom: true}
	}
	host := environmentHost(environmentName(c.Environment))
	return authority{base: "https://" + host + "/" + tenant + "/v2.0", tenant: tenant}
}

func (a authority) discoveryURL() string { return a.base + "/.well-known/openid-configuration" }

// host is that of an authority's URL, "" where it cannot be read.
func (a authority) host() string {
	u, err := url.Parse(a.base)
	if err != nil {
		return ""
	}
	return u.Host
}

// isLoopback reports whether the authority is on this machine, where a simulator of Entra may be.
func (a authority) isLoopback() bool {
	u, err := url.Parse(a.base)
	return err == nil && IsLoopback(u.Hostname())
}

// isEntra reports whether the authority is Entra ID, External ID or B2C by its host.
func (a authority) isEntra() bool { return isEntraHost(a.host()) || a.isCustomerDirectory() }

// path is that of an authority's URL; its first segment is the tenant.
func (a authority) path() string {
	u, err := url.Parse(a.base)
	if err != nil {
		return ""
	}
	return u.Path
}

// isCustomerDirectory reports whether it is an External ID or B2C authority, where it is not
// documented which issuer the signing keys bear.
func (a authority) isCustomerDirectory() bool {
	host := a.host()
	return strings.HasSuffix(host, ".ciamlogin.com") || strings.HasSuffix(host, ".b2clogin.com")
}

// loopbackHTTP reports whether plain http may be used: only where the operator wrote it, in the URL
// of a loopback authority.
func (a authority) loopbackHTTP() bool { return strings.HasPrefix(a.base, "http://") }

// discovery is the provider metadata of OpenID Connect Discovery 1.0 section 3, as far as it is
// used. For the three environments it is built offline, without an issuer where the tenant is a
// domain.
type discovery struct {
	Issuer           string `json:"issuer"`
	AuthorizationURL string `json:"authorization_endpoint"`
	TokenURL         string `json:"token_endpoint"`
	KeysURL          string `json:"jwks_uri"`
	// RFC 8628 section 4; "" = none
	DeviceURL     string   `json:"device_authorization_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	AssertionAlgs []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	CloudInstance string   `json:"cloud_instance_name"` // Entra's alone
	Scopes        []string `json:"scopes_supported"`
	// RFC 9207 section 3
	PromisesIssuer bool `json:"authorization_response_iss_parameter_supported"`
}

// provider is what must be known of the authority to send requests to it: without the network for
// the three environments.
func (c *Client) provider(ctx context.Context) (*discovery, error) {
	if c.authority.custom {
		return c.discovery.get(ctx)
	}
	root := strings.TrimSuffix(c.authority.base, "/v2.0")
	known := &discovery{
		AuthorizationURL: root + "/oauth2/v2.0/authorize",
		TokenURL:         root + "/oauth2/v2.0/token",
		KeysURL:          root + "/discovery/v2.0/keys",
		DeviceURL:        root + "/oauth2/v2.0/devicecode",
	}
	switch host := root[:strings.LastIndex(root, "/")]; {
	case c.authority.tenant == "consumers":
		known.Issuer = host + "/" + personalTenant + "/v2.0"
	case isSharedTenant(c.authority.tenant):
		known.Issuer = host + "/" + tenantPlaceholder + "/v2.0"
	case guid.MatchString(c.authority.tenant):
		known.Issuer = c.authority.base
	}
	return known, nil
}

// Verify fetches the discovery document anew, for the three environments too, and checks it. The
// error is an *Error that names the URL or carries Entra's own reason (AADSTS90002 for a tenant
// that does not exist).
func (c *Client) Verify(ctx context.Context) error {
	_, err := c.discovery.renew(ctx)
	return err
}

// fetchDiscovery is the fetch behind Client.discovery.
func (c *Client) fetchDiscovery(ctx context.Context) (*discovery, error) {
	from := c.forApp(c.authority.discoveryURL())
	body, err := c.getDocument(ctx, from)
	if err != nil {
		return nil, err
	}
	doc, err := parseDiscovery(body, c.authority.loopbackHTTP())
	if err == nil {
		err = c.checkDiscoveredIssuer(ctx, doc.Issuer)
	}
	if err != nil {
		return nil, &Error{Class: ClassTransient, Status: http.StatusOK,
			Description: oneLine(from + ": " + err.Error()), Err: err}
	}
	return doc, nil
}

func parseDiscovery(body []byte, loopbackHTTP bool) (*discovery, error) {
	var doc discovery
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("not a discovery document: %w", jsonProblem(err))
	}
	if doc.Issuer == "" {
		return nil, fmt.Errorf("the discovery document has no issuer")
	}
	for _, endpoint := range []struct{ name, url string }{
		{"authorization_endpoint", doc.AuthorizationURL},
		{"token_endpoint", doc.TokenURL},
		{"jwks_uri", doc.KeysURL},
	} {
		if endpoint.url == "" {
			return nil, fmt.Errorf("the discovery document has no %s", endpoint.name)
		}
		if problem := endpointProblem(endpoint.url, loopbackHTTP); problem != "" {
			return nil, fmt.Errorf("the discovery document's %s %s", endpoint.name, problem)
		}
	}
	if doc.DeviceURL != "" && endpointProblem(doc.DeviceURL, loopbackHTTP) != "" {
		doc.DeviceURL = "" // nobody needs it but those who ask for a device code
	}
	return &doc, nil
}

// checkDiscoveredIssuer refuses a document that does not speak for the authority it was fetched
// from (OpenID Connect Discovery section 4.3, RFC 8414 section 3.3), or one provider could pass for
// another.
func (c *Client) checkDiscoveredIssuer(ctx context.Context, issuer string) error {
	if c.cfg.Issuer != "" {
		return nil // the operator has said which issuer it is
	}
	if !c.authority.custom {
		known, err := c.provider(ctx)
		if err != nil || known.Issuer == issuer {
			return err
		}
		if known.Issuer != "" {
			return fmt.Errorf("issuer is %q instead of %q: tenant_id or environment is wrong",
				issuer, known.Issuer)
		}
	}
	if !issuerFits(c.authority.base, issuer) ||
		!c.authority.custom && strings.Contains(issuer, tenantPlaceholder) {
		return fmt.Errorf(
			"issuer is %q, which is not this authority's: correct authority_url, or set issuer",
			issuer)
	}
	return nil
}

// issuerFits reports whether the issuer is that authority's. It is the same URL, but for what Entra
// does: it answers for a domain or a shared word with the tenant's GUID or the placeholder in its
// place, on v1 authorities with another host of the cloud, at External ID with the GUID as the
// host's name too, at B2C with the GUID and without the policy.
func issuerFits(base, issuer string) bool {
	if strings.TrimRight(issuer, "/") == base {
		return true
	}
	b, errBase := url.Parse(base)
	i, errIssuer := url.Parse(issuer)
	if errBase != nil || errIssuer != nil || i.Scheme != b.Scheme ||
		endpointProblem(issuer, true) != "" {
		return false
	}
	if strings.HasSuffix(b.Host, ".b2clogin.com") {
		return i.Host == b.Host // the path depends on the policy's "issuer (iss) claim" setting
	}
	tenant, version := splitTenant(i.Path)
	asked, restBase := splitTenant(b.Path)
	if !tenantFits(asked, tenant) || version != "" && version != "v2.0" {
		return false
	}
	switch {
	case strings.HasSuffix(b.Host, ".ciamlogin.com"):
		return i.Host == b.Host || strings.EqualFold(i.Host, tenant+".ciamlogin.com")
	case i.Host == b.Host:
		return version == restBase
	}
	return sameCloud(b.Host, i.Host)
}

// tenantFits reports whether the issuer of an authority for the tenant asked can name this one. A
// GUID stands for nothing but itself.
func tenantFits(asked, named string) bool {
	if guid.MatchString(asked) {
		return strings.EqualFold(asked, named)
	}
	return asked != "" && (guid.MatchString(named) || named == tenantPlaceholder)
}

// splitTenant parts an authority's path in its first segment, the tenant, and the rest.
func splitTenant(path string) (tenant, rest string) {
	tenant, rest, _ = strings.Cut(strings.Trim(path, "/"), "/")
	return tenant, rest
}

// isEntraHost reports whether a host is one of a cloud's.
func isEntraHost(host string) bool {
	return slices.ContainsFunc(clouds, func(c cloud) bool { return slices.Contains(c.hosts, host) })
}

// sameCloud reports whether two hosts issue for each other.
func sameCloud(a, b string) bool {
	return slices.ContainsFunc(clouds, func(c cloud) bool {
		return slices.Contains(c.hosts, a) && slices.Contains(c.hosts, b)
	})
}

// forApp adds the application's id to the URL of discovery or keys on a cloud's host. The keys of
// an app with claims mapping or a SAML certificate stand nowhere else ("Customize claims emitted in
// tokens", validate tokens with a custom signing key); for others it makes no difference.
func (c *Client) forApp(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || !isEntraHost(u.Host) || u.Query().Has("appid") {
		return raw
	}
	query := u.Query()
	query.Set("appid", c.cfg.ClientID)
	u.RawQuery = query.Encode()
	return u.String()
}
