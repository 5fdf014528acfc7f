// SPDX-License-Identifier: MPL-2.0

package entratest

import "strings"

// The tenants every simulator has.
const (
	ContosoTenantID  = "3aa4a235-b6e2-48d5-9195-7fcf05b459b0"
	FabrikamTenantID = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"

	// PersonalTenantID is the tenant of personal Microsoft accounts.
	PersonalTenantID = "9188040d-6c67-4c5b-b112-36a304b66dad"
)

// Tenant is a directory: its users, and the domains it has verified.
type Tenant struct {
	ID      string   `json:"id"`
	Domains []string `json:"domains"`
}

func builtInTenants() []*Tenant {
	return []*Tenant{
		{ID: ContosoTenantID, Domains: []string{"contoso.example", "contoso.onmicrosoft.com"}},
		{ID: FabrikamTenantID, Domains: []string{"fabrikam.example", "fabrikam.onmicrosoft.com"}},
		{ID: PersonalTenantID, Domains: []string{"outlook.example"}},
	}
}

// AddTenant adds a tenant. Its ID must be a GUID that is not in use.
func (s *Simulator) AddTenant(t Tenant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tenants = append(s.tenants, &t)
}

// tenantNamed finds a tenant by id or verified domain. s.mu must be held.
func (s *Simulator) tenantNamed(name string) *Tenant {
	for _, t := range s.tenants {
		if strings.EqualFold(t.ID, name) {
			return t
		}
		for _, d := range t.Domains {
			if strings.EqualFold(d, name) {
				return t
			}
		}
	}
	return nil
}

// authority is what a request's host and the head of its path name: a tenant,
// or one of the audiences that stand for many, and in B2C a policy.
type authority struct {
	host    string
	segment string  // as it stands in the path
	tenant  *Tenant // nil for common and organizations
	policy  string  // B2C only
}

// authorityFor resolves a path's tenant segment. The error is AADSTS90002.
func (s *Simulator) authorityFor(host, segment, policy string) (authority, *entraError) {
	if preferred, isAlias := aliases[host]; isAlias {
		host = preferred
	}
	a := authority{host: host, segment: segment, policy: policy}
	switch strings.ToLower(segment) {
	case "common", "organizations":
		return a, nil
	case "consumers":
		segment = PersonalTenantID
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.tenant = s.tenantNamed(segment); a.tenant == nil {
		return a, aadsts(
			90002,
			"Tenant '"+segment+"' not found. Check to make sure you have the correct tenant ID "+
				"and are signing into the correct cloud.",
		)
	}
	return a, nil
}

// admits reports whether a user of tenant tid may sign in at this authority.
func (a authority) admits(tid string) bool {
	switch {
	case a.tenant != nil:
		return a.tenant.ID == tid
	case strings.EqualFold(a.segment, "organizations"):
		return tid != PersonalTenantID
	}
	return true
}

// directory is the segment that Entra writes into the URLs it gives out: the
// GUID, however the tenant was named, or the audience's own name.
func (a authority) directory() string {
	if a.tenant != nil {
		return a.tenant.ID
	}
	return strings.ToLower(a.segment)
}

// isExternalID reports whether the host is one of External ID's.
func (a authority) isExternalID() bool {
	host, _, _ := strings.Cut(a.host, ":")
	return strings.HasSuffix(host, ".ciamlogin.com")
}

// aliases are older names of the clouds, whose discovery document names the cloud's own host
// (learn.microsoft.com, "National clouds"; MSAL's list of trusted hosts).
var aliases = map[string]string{
	"login.chinacloudapi.cn":       "login.partner.microsoftonline.cn",
	"login.usgovcloudapi.net":      "login.microsoftonline.us",
	"login.windows.net":            "login.microsoftonline.com",
	"login.microsoft.com":          "login.microsoftonline.com",
	"sts.windows.net":              "login.microsoftonline.com",
	"login-us.microsoftonline.com": "login.microsoftonline.us",
}

// base is the start of this authority's endpoint URLs. B2C keeps the names as
// they were asked for and puts the policy behind the tenant.
func (a authority) base() string {
	if a.policy != "" {
		return "https://" + a.host + "/" + a.segment + "/" + a.policy
	}
	return "https://" + a.host + "/" + a.directory()
}

// issuer of an ID token for a user of tenant tid. External ID names the tenant
// in the host too, and B2C ends its issuer in a slash.
func (a authority) issuer(tid string) string {
	host, _, _ := strings.Cut(a.host, ":")
	switch {
	case strings.HasSuffix(host, ".ciamlogin.com"):
		return "https://" + tid + ".ciamlogin.com/" + tid + "/v2.0"
	case a.policy != "":
		return "https://" + a.host + "/" + tid + "/v2.0/"
	}
	return "https://" + a.host + "/" + tid + "/v2.0"
}

// publishedIssuer is the issuer that discovery states: a template where many
// tenants share the authority.
func (a authority) publishedIssuer() string {
	if a.tenant != nil {
		return a.issuer(a.tenant.ID)
	}
	return "https://" + a.host + "/{tenantid}/v2.0"
}
