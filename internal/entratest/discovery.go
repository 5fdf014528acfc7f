// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// cloudHosts are the names that real Entra answers to and this simulator can
// stand in for. The last two are for external tenants, under any subdomain.
var cloudHosts = []string{
	"login.microsoftonline.com",
	"login.microsoftonline.us",
	"login.partner.microsoftonline.cn",
	"login.sovcloud-identity.fr",
	"login.sovcloud-identity.de",
	"login.sovcloud-identity.sg",
	"login.chinacloudapi.cn",
	"login.usgovcloudapi.net",
	"login.windows.net",
	"sts.windows.net",
	"*.ciamlogin.com",
	"*.b2clogin.com",
}

// graphHosts gives Graph's host in the cloud of an authority's host.
func graphHost(host string) string {
	switch name, _, _ := strings.Cut(host, ":"); name {
	case "login.microsoftonline.us":
		return "graph.microsoft.us"
	case "login.partner.microsoftonline.cn":
		return "microsoftgraph.chinacloudapi.cn"
	}
	return "graph.microsoft.com"
}

// discovery is the OpenID provider metadata, member for member as Entra has
// it: it names neither PKCE methods nor grant types.
func (c *call) discovery() {
	base := c.at.base()
	document := map[string]any{
		"token_endpoint": base + "/oauth2/v2.0/token",
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt",
			"client_secret_basic"},
		"jwks_uri":                              base + "/discovery/v2.0/keys",
		"response_modes_supported":              []string{"query", "fragment", "form_post"},
		"subject_types_supported":               []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"response_types_supported": []string{"code", "id_token", "code id_token",
			"id_token token"},
		"scopes_supported": []string{"openid", "profile", "email",
			"offline_access"},
		"issuer":                          c.at.publishedIssuer(),
		"request_uri_parameter_supported": false,
		"userinfo_endpoint": "https://" + graphHost(c.host()) +
			"/oidc/userinfo",
		"authorization_endpoint":        base + "/oauth2/v2.0/authorize",
		"device_authorization_endpoint": base + "/oauth2/v2.0/devicecode",
		"http_logout_supported":         true,
		"frontchannel_logout_supported": true,
		"end_session_endpoint":          base + "/oauth2/v2.0/logout",
		"claims_supported": []string{
			"sub", "iss", "cloud_instance_name", "cloud_instance_host_name",
			"cloud_graph_host_name", "msgraph_host", "aud", "exp", "iat",
			"auth_time", "acr", "nonce", "preferred_username", "name", "tid", "ver", "at_hash",
			"c_hash", "email",
		},
		"kerberos_endpoint":     base + "/kerberos",
		"tenant_region_scope":   "EU",
		"cloud_instance_name":   "microsoftonline.com",
		"cloud_graph_host_name": "graph.windows.net",
		"msgraph_host":          graphHost(c.host()),
		"rbac_url":              "https://pas.windows.net",
	}
	if appID := c.form.Get("appid"); appID != "" {
		document["jwks_uri"] = base + "/discovery/v2.0/keys?appid=" + url.QueryEscape(appID)
	}
	if algorithms := c.s.assertionAlgs; len(algorithms) > 0 {
		document["token_endpoint_auth_signing_alg_values_supported"] = algorithms
	}
	c.json(http.StatusOK, document)
	c.header.Set("Access-Control-Allow-Origin", "*")
}

// publicKeys is the JWKS; with ?appid= that of an app with a key of its own.
func (c *call) publicKeys() {
	ring := c.s.keys
	if app := c.s.ownKeys(c.form.Get("appid")); app != nil {
		ring = app
	}
	c.json(http.StatusOK, ring.published(c.at))
	c.header.Set("Access-Control-Allow-Origin", "*")
}

// instance answers MSAL's question whether an authority's host is one of
// Microsoft's. The simulator vouches for itself.
func (c *call) instance() {
	asked, err := url.Parse(c.form.Get("authorization_endpoint"))
	if err != nil || asked.Host == "" {
		c.refuse(aadsts(90023, "The authorization_endpoint parameter is missing or is no URL."))
		return
	}
	aliases := []string{"login.microsoftonline.com", "login.windows.net", "login.microsoft.com",
		"sts.windows.net"}
	clouds := []map[string]any{
		{"preferred_network": "login.microsoftonline.com", "preferred_cache": "login.windows.net",
			"aliases": aliases},
		{"preferred_network": "login.partner.microsoftonline.cn",
			"preferred_cache": "login.partner.microsoftonline.cn",
			"aliases": []string{"login.partner.microsoftonline.cn",
				"login.chinacloudapi.cn"}},
		{"preferred_network": "login.microsoftonline.us",
			"preferred_cache": "login.microsoftonline.us",
			"aliases":         []string{"login.microsoftonline.us", "login.usgovcloudapi.net"}},
	}
	known := slices.ContainsFunc(clouds, func(cloud map[string]any) bool {
		return slices.Contains(cloud["aliases"].([]string), strings.ToLower(asked.Host))
	})
	if !known && asked.Host == c.host() {
		known = true
		clouds = append(
			clouds,
			map[string]any{"preferred_network": asked.Host, "preferred_cache": asked.Host,
				"aliases": []string{asked.Host}},
		)
	}
	if !known {
		c.refuse(aadsts(50049, ""))
		return
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(asked.Path, "/"), "/")
	c.json(http.StatusOK, map[string]any{
		"tenant_discovery_endpoint": "https://" + asked.Host + "/" + tenant +
			"/v2.0/.well-known/openid-configuration",
		"api-version": "1.1",
		"metadata":    clouds,
	})
}
