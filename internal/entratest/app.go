// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strings"
	"time"
)

// Platform is the kind of application under which a redirect URI is
// registered. It decides whether a credential is needed at the token endpoint.
type Platform string

// The platforms.
const (
	Web    Platform = "web"    // needs a credential
	Public Platform = "public" // "Mobile and desktop applications": refuses one
	SPA    Platform = "spa"    // "Single-page application": cross-origin requests only
)

// RedirectURI is one registered redirect URI.
type RedirectURI struct {
	URI      string   `json:"uri"`
	Platform Platform `json:"platform"`
}

// Secret is one client secret of an app.
type Secret struct {
	Value   string `json:"value"`
	Expired bool   `json:"expired,omitempty"`
}

// App is an app registration.
type App struct {
	ClientID string `json:"client_id"` // default: a new GUID
	Name     string `json:"name"`
	TenantID string `json:"tenant_id"` // home tenant, default Contoso

	// MultiTenant apps are known in every tenant and at common, organizations
	// and consumers.
	MultiTenant bool `json:"multi_tenant"`

	Secrets      []Secret      `json:"secrets,omitempty"`
	Certificates []string      `json:"certificates,omitempty"` // PEM
	RedirectURIs []RedirectURI `json:"redirect_uris"`

	// AllowPublicFlows is the registration's "Allow public client flows": what
	// the app is where no redirect URI tells, as in the device code flow.
	AllowPublicFlows bool `json:"allow_public_flows,omitempty"`

	// Permissions are the registered delegated permissions: identifier URI of a
	// resource to names. They are what .default stands for.
	Permissions map[string][]string `json:"permissions,omitempty"`

	Disabled bool `json:"disabled,omitempty"` // 7000112

	// OwnSigningKey is for apps with claims mapping or a SAML certificate: their ID tokens are
	// signed with a key that only discovery and keys with ?appid= name (learn.microsoft.com,
	// "Customize claims ... using a claims mapping policy").
	OwnSigningKey bool `json:"own_signing_key,omitempty"`

	// OptionalClaims of ID tokens: acct is the only one that is known (learn.microsoft.com,
	// "Optional claims reference").
	OptionalClaims []string `json:"optional_claims,omitempty"`

	// AccessTokenLifetime of this app's tokens, where it differs.
	AccessTokenLifetime time.Duration `json:"-"`
}

// Secret returns the first client secret, or "".
func (a App) Secret() string {
	if len(a.Secrets) == 0 {
		return ""
	}
	return a.Secrets[0].Value
}

func (a App) clone() *App {
	a.Secrets = slices.Clone(a.Secrets)
	a.Certificates = slices.Clone(a.Certificates)
	a.OptionalClaims = slices.Clone(a.OptionalClaims)
	a.RedirectURIs = slices.Clone(a.RedirectURIs)
	permissions := make(map[string][]string, len(a.Permissions))
	for resource, names := range a.Permissions {
		permissions[resource] = slices.Clone(names)
	}
	a.Permissions = permissions
	return &a
}

func defaultPermissions() map[string][]string {
	return map[string][]string{
		"https://graph.microsoft.com":    {"User.Read", "Mail.Read"},
		"https://management.azure.com":   {"user_impersonation"},
		"https://vault.azure.net":        {"user_impersonation"},
		"https://storage.azure.com":      {"user_impersonation"},
		"https://contoso.example/orders": {"Orders.Read"},
	}
}

func builtInApps(redirectURIs []RedirectURI) (confidential, public App) {
	uris := []string{
		"http://localhost/callback", "http://127.0.0.1/callback",
		"http://localhost/v1/entra/callback", "http://127.0.0.1/v1/entra/callback",
		"https://localhost/v1/entra/callback", "https://127.0.0.1/v1/entra/callback",
		"https://vault.example.com/v1/entra/callback",
	}
	var web, desktop []RedirectURI
	for _, uri := range uris {
		web = append(web, RedirectURI{URI: uri, Platform: Web})
		desktop = append(desktop, RedirectURI{URI: uri, Platform: Public})
	}
	if redirectURIs != nil {
		web = redirectURIs
	}
	confidential = App{
		ClientID: namedGUID(
			"app:confidential"), Name: "Vault", TenantID: ContosoTenantID, MultiTenant: true,
		Secrets: []Secret{
			{Value: "sim8Q~" + randomString(26)},
		}, RedirectURIs: web, Permissions: defaultPermissions(),
	}
	public = App{
		ClientID: namedGUID(
			"app:public"), Name: "Vault CLI", TenantID: ContosoTenantID, MultiTenant: true,
		RedirectURIs: append(desktop, RedirectURI{URI: "http://localhost", Platform: Public},
			RedirectURI{URI: "http://127.0.0.1", Platform: Public}),
		AllowPublicFlows: true, Permissions: defaultPermissions(),
	}
	return confidential, public
}

func appKey(clientID string) string { return strings.ToLower(clientID) }

// AddApp registers an app, or replaces the one with the same client id, and
// returns it with its defaults filled in.
func (s *Simulator) AddApp(app App) (App, error) {
	if app.ClientID == "" {
		app.ClientID = randomGUID()
	}
	if app.Name == "" {
		app.Name = app.ClientID
	}
	if app.TenantID == "" {
		app.TenantID = ContosoTenantID
	}
	if app.Permissions == nil {
		app.Permissions = defaultPermissions()
	}
	for _, uri := range app.RedirectURIs {
		if err := uri.validate(); err != nil {
			return App{}, err
		}
	}
	for _, text := range app.Certificates {
		if _, err := parseCertificate(text); err != nil {
			return App{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenantNamed(app.TenantID) == nil {
		return App{}, fmt.Errorf("no tenant %q", app.TenantID)
	}
	s.apps[appKey(app.ClientID)] = app.clone()
	return app, nil
}

// UpdateApp changes a registered app, for instance its secrets.
func (s *Simulator) UpdateApp(clientID string, change func(*App)) error {
	s.mu.Lock()
	old := s.apps[appKey(clientID)]
	s.mu.Unlock()
	if old == nil {
		return fmt.Errorf("no app %q", clientID)
	}
	app := old.clone()
	change(app)
	_, err := s.AddApp(*app)
	return err
}

// Apps returns all registered apps, sorted by name, secrets included.
func (s *Simulator) Apps() []App {
	s.mu.Lock()
	defer s.mu.Unlock()
	apps := make([]App, 0, len(s.apps))
	for _, a := range s.apps {
		apps = append(apps, *a.clone())
	}
	sort.Slice(apps, func(i, j int) bool { return apps[i].Name < apps[j].Name })
	return apps
}

// appAt finds the app a request is for. s.mu must be held.
func (s *Simulator) appAt(a authority, clientID string) (*App, *entraError) {
	if clientID == "" {
		return nil, missingParameter("client_id")
	}
	app := s.apps[appKey(clientID)]
	switch {
	case app == nil, a.tenant != nil && !app.MultiTenant && a.tenant.ID != app.TenantID:
		return nil, aadsts(
			700016,
			fmt.Sprintf("Application with identifier '%s' was not found in the directory '%s'.",
				clientID, a.directory()),
		)
	case a.tenant == nil && !app.MultiTenant:
		return nil, aadsts(
			50194,
			fmt.Sprintf(
				"Application '%s'(%s) is not configured as a multi-tenant application. Usage "+
					"of the /%s endpoint is not supported for such apps.",
				app.ClientID, app.Name, a.directory()),
		)
	case app.Disabled:
		return nil, aadsts(7000112,
			fmt.Sprintf("Application '%s'(%s) is disabled.", app.ClientID, app.Name))
	}
	return app, nil
}

func (r RedirectURI) validate() error {
	u, err := url.Parse(r.URI)
	switch {
	case err != nil:
		return fmt.Errorf("redirect URI %q: %w", r.URI, err)
	case r.Platform != Web && r.Platform != Public && r.Platform != SPA:
		return fmt.Errorf("redirect URI %q: no platform %q", r.URI, r.Platform)
	case u.Fragment != "" || strings.Contains(r.URI, "*"):
		return fmt.Errorf("redirect URI %q: no fragment or wildcard is allowed", r.URI)
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && isLoopbackName(u.Hostname()):
		return nil
	}
	return fmt.Errorf("redirect URI %q: must be https, or http on localhost", r.URI)
}

func isLoopbackName(host string) bool {
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1"
}

// matches reports whether a request's redirect URI is this registered one.
// The port of a loopback host is ignored, the path is case-sensitive
// (learn.microsoft.com, "Redirect URI (reply URL) best practices and limitations").
func (r RedirectURI) matches(requested string) bool {
	reg, err := url.Parse(r.URI)
	if err != nil {
		return false
	}
	req, err := url.Parse(requested)
	if err != nil || req.Fragment != "" || req.User != nil {
		return false
	}
	hosts := strings.EqualFold(reg.Host, req.Host)
	if isLoopbackName(reg.Hostname()) {
		hosts = strings.EqualFold(reg.Hostname(), req.Hostname())
	}
	path := func(u *url.URL) string {
		if u.Path == "" {
			return "/"
		}
		return u.EscapedPath()
	}
	return hosts && reg.Scheme == req.Scheme && path(reg) == path(req) &&
		reg.RawQuery == req.RawQuery
}

// platformOf returns the platform under which a redirect URI is registered, or "".
func (a *App) platformOf(redirectURI string) Platform {
	for _, r := range a.RedirectURIs {
		if r.matches(redirectURI) {
			return r.Platform
		}
	}
	return ""
}
