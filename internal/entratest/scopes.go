// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Resource is an API that tokens can be for.
type Resource struct {
	AppID       string   `json:"app_id"`
	URIs        []string `json:"uris"`   // identifier URIs, without a slash at the end
	Scopes      []string `json:"scopes"` // delegated permissions
	AdminScopes []string `json:"admin_scopes,omitempty"`

	// GUIDOnly makes a refresh by the API's own app name it by its application id: 90009 for any
	// identifier URI, as some tenants have it.
	GUIDOnly bool `json:"guid_only,omitempty"`
}

// graphAppID is Microsoft Graph's application id, the same in every tenant.
const graphAppID = "00000003-0000-0000-c000-000000000000"

func builtInResources() []*Resource {
	impersonation := []string{"user_impersonation"}
	return []*Resource{
		{
			AppID: graphAppID,
			URIs: []string{"https://graph.microsoft.com", "https://graph.microsoft.us",
				"https://dod-graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn"},
			Scopes: []string{
				"Calendars.Read", "Calendars.Read.Shared", "Calendars.ReadBasic",
				"Calendars.ReadWrite", "Channel.ReadBasic.All", "ChannelMessage.Send",
				"Chat.Read", "Chat.ReadWrite", "Contacts.Read", "Contacts.ReadWrite", "Files.Read",
				"Files.Read.All", "Files.ReadWrite", "Files.ReadWrite.All",
				"Mail.Read", "Mail.ReadBasic", "Mail.ReadWrite", "Mail.Send",
				"MailboxSettings.Read", "Notes.Read", "OnlineMeetings.ReadWrite", "People.Read",
				"Presence.Read", "Sites.Read.All", "Tasks.Read", "Tasks.ReadWrite",
				"Team.ReadBasic.All", "User.Read", "User.ReadBasic.All", "User.ReadWrite",
			},
			AdminScopes: []string{"Application.ReadWrite.All", "AuditLog.Read.All",
				"Directory.Read.All", "Directory.ReadWrite.All", "Group.Read.All",
				"Group.ReadWrite.All", "User.Read.All"},
		},
		{AppID: "797f4846-ba00-4fd7-ba43-dac1f8f63013", Scopes: impersonation,
			URIs: []string{"https://management.azure.com", "https://management.core.windows.net",
				"https://management.usgovcloudapi.net", "https://management.chinacloudapi.cn"}},
		{AppID: "cfa8b339-82a2-471a-a3c9-0fc0be7a4093", Scopes: impersonation,
			URIs: []string{"https://vault.azure.net", "https://vault.usgovcloudapi.net",
				"https://vault.azure.cn"}},
		{
			AppID:  "e406a681-f3d4-42a8-90b6-c2b029497af1",
			Scopes: impersonation,
			URIs:   []string{"https://storage.azure.com"},
		},
		{
			AppID:  "499b84ac-1321-427f-aa17-267ca6975798",
			Scopes: append([]string{"vso.code", "vso.build_execute"}, impersonation...),
			URIs:   []string{"https://app.vssps.visualstudio.com"},
		},
		{
			AppID:       namedGUID("resource:orders"),
			Scopes:      []string{"Orders.Read", "Orders.Write"},
			AdminScopes: []string{"Orders.Admin"},
			URIs:        []string{"https://contoso.example/orders", "api://orders"},
		},
	}
}

// AddResource adds an API. Its first URI is its canonical name.
func (s *Simulator) AddResource(r Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.resources = append(s.resources, &r)
}

// resourceNamed finds a resource by identifier URI or app id. s.mu must be held.
func (s *Simulator) resourceNamed(name string) *Resource {
	name = strings.TrimRight(name, "/")
	for _, r := range s.resources {
		if strings.EqualFold(r.AppID, name) ||
			slices.ContainsFunc(r.URIs, func(u string) bool { return strings.EqualFold(u, name) }) {
			return r
		}
	}
	return nil
}

// scopeNamed returns the permission in the resource's own spelling.
func (r *Resource) scopeNamed(name string) (canonical string, admin, ok bool) {
	for _, s := range r.Scopes {
		if strings.EqualFold(s, name) {
			return s, false, true
		}
	}
	for _, s := range r.AdminScopes {
		if strings.EqualFold(s, name) {
			return s, true, true
		}
	}
	return name, false, false
}

const defaultScope = ".default"

// scopeRequest is a parsed scope parameter.
type scopeRequest struct {
	raw                             string
	openid, profile, email, offline bool
	resources                       []*resourceRequest // in the order first named
}

// resourceRequest is what a scope parameter asks of one resource.
type resourceRequest struct {
	*Resource
	prefix string   // as asked, "" for a bare Graph scope
	names  []string // canonical where the resource knows them; may hold .default
	asked  []string // names, each in the form it was asked
}

func (r *resourceRequest) isDefault() bool { return slices.Contains(r.names, defaultScope) }

// parseScopes reads a scope parameter. An unknown resource is AADSTS500011, a
// mix of .default and names of the same resource AADSTS70011; whether a
// resource knows a name is left to the caller. s.mu must be held.
func (s *Simulator) parseScopes(raw string, a authority) (*scopeRequest, *entraError) {
	req := &scopeRequest{raw: raw}
	for _, scope := range strings.Fields(raw) {
		switch strings.ToLower(scope) {
		case "openid":
			req.openid = true
			continue
		case "profile":
			req.profile = true
			continue
		case "email":
			req.email = true
			continue
		case "offline_access":
			req.offline = true
			continue
		}
		// The name is what follows the last slash: a resource whose identifier
		// ends in a slash is asked for with two.
		prefix, name := "", scope
		if i := strings.LastIndexByte(scope, '/'); i >= 0 {
			prefix, name = scope[:i], scope[i+1:]
		}
		resource := s.resourceNamed(graphAppID)
		if prefix != "" {
			resource = s.resourceNamed(prefix)
		}
		switch {
		case name == "" || prefix == "" && name == defaultScope:
			return nil, aadsts(
				70011,
				fmt.Sprintf(
					"The provided request must include a 'scope' input parameter. The provided "+
						"value for the input parameter 'scope' is not valid. The scope %s is "+
						"not valid.",
					raw),
			)
		case resource == nil:
			return nil, aadsts(
				500011,
				fmt.Sprintf("The resource principal named %s was not found in the tenant named %s.",
					prefix, a.directory()),
			)
		}
		req.add(resource, prefix, name)
	}
	for _, r := range req.resources {
		if r.isDefault() && len(r.names) > 1 {
			refused := defaultBesideNames(raw)
			refused.Page = true
			return nil, refused
		}
	}
	return req, nil
}

func (req *scopeRequest) add(resource *Resource, prefix, name string) {
	canonical, _, _ := resource.scopeNamed(name)
	form := canonical
	if prefix != "" {
		form = prefix + "/" + canonical
	}
	for _, r := range req.resources {
		if r.Resource == resource {
			if !slices.Contains(r.names, canonical) {
				r.names = append(r.names, canonical)
				r.asked = append(r.asked, form)
			}
			return
		}
	}
	req.resources = append(
		req.resources,
		&resourceRequest{Resource: resource, prefix: prefix, names: []string{canonical},
			asked: []string{form}},
	)
}

// nameSet is a set of permission names.
type nameSet map[string]bool

// consentKey says who agreed to what: a user, for an app, at a resource. The
// resource "" holds openid, profile, email and offline_access.
type consentKey struct{ objectID, clientID, resource string }

// expand returns the names that a request stands for: .default is what the app
// has registered for that resource.
func (app *App) expand(r *resourceRequest) []string {
	if !r.isDefault() {
		return r.names
	}
	var names []string
	for uri, registered := range app.Permissions {
		if slices.ContainsFunc(r.URIs,
			func(u string) bool { return strings.EqualFold(u, strings.TrimRight(uri, "/")) }) {
			names = append(names, registered...)
		}
	}
	return names
}

// maxResources is how many APIs one sign-in may name. People report three; Microsoft says nothing.
const maxResources = 3

// together checks what one sign-in may ask for: a .default stands alone beside the OpenID scopes,
// and there are not too many resources. Entra shows these on its own page.
func (req *scopeRequest) together() *entraError {
	var refused *entraError
	for _, r := range req.resources {
		if r.isDefault() && len(req.resources) > 1 {
			refused = defaultBesideNames(req.raw)
		}
	}
	if refused == nil && len(req.resources) > maxResources {
		refused = aadsts(28004, "The scope parameter names "+strconv.Itoa(len(req.resources))+
			" resources. Scope "+req.raw+" is not valid.")
	}
	if refused != nil {
		refused.Page = true
	}
	return refused
}

func defaultBesideNames(raw string) *entraError {
	return aadsts(70011, "The provided value for the input parameter 'scope' is not valid. "+
		"The scope "+raw+" is not valid. .default scope can't be combined with "+
		"resource-specific scopes.")
}

// askable checks what only the authorize and device endpoints check: that
// every permission exists, and that the app has registered what .default names.
func (req *scopeRequest) askable(app *App) *entraError {
	for _, r := range req.resources {
		if r.isDefault() {
			if len(app.expand(r)) == 0 {
				return aadsts(
					650057,
					fmt.Sprintf(
						"Invalid resource. The client has requested access to a resource which "+
							"is not listed in the requested permissions in the client's "+
							"application registration. Client app ID: %s(%s). Resource "+
							"value from request: %s.",
						app.ClientID, app.Name, r.prefix),
				)
			}
			continue
		}
		for _, name := range r.names {
			if _, _, ok := r.scopeNamed(name); !ok {
				return aadsts(
					650053,
					fmt.Sprintf(
						"The application '%s' asked for scope '%s' that doesn't exist on the "+
							"resource '%s'. Contact the app vendor.",
						app.Name, name, r.AppID),
				)
			}
		}
	}
	return nil
}

// consented reports whether the user has agreed to all that is asked. s.mu must be held.
func (s *Simulator) consented(u *userRecord, app *App, req *scopeRequest) bool {
	for _, r := range req.resources {
		agreed := s.consents[consentKey{u.ObjectID, app.ClientID, r.AppID}]
		for _, name := range app.expand(r) {
			if !agreed[name] {
				return false
			}
		}
	}
	return true
}

// consent notes that the user agrees to all that is asked; AADSTS90094 where
// only an administrator may. s.mu must be held.
func (s *Simulator) consent(u *userRecord, app *App, req *scopeRequest) *entraError {
	for _, r := range req.resources {
		key := consentKey{u.ObjectID, app.ClientID, r.AppID}
		for _, name := range app.expand(r) {
			if _, admin, _ := r.scopeNamed(name); admin && !u.Admin && !s.consents[key][name] {
				return aadsts(90094, "")
			}
		}
	}
	for _, r := range req.resources {
		key := consentKey{u.ObjectID, app.ClientID, r.AppID}
		if s.consents[key] == nil {
			s.consents[key] = make(nameSet)
		}
		for _, name := range app.expand(r) {
			s.consents[key][name] = true
		}
	}
	return nil
}

// AdminConsent grants, for every user of now, what an app has registered for a resource (its
// identifier URI), as an administrator does in the portal: what .default stands for.
func (s *Simulator) AdminConsent(clientID, resource string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, r := s.apps[appKey(clientID)], s.resourceNamed(resource)
	if app == nil || r == nil {
		return fmt.Errorf("no such app or resource: %q, %q", clientID, resource)
	}
	registered := app.expand(&resourceRequest{Resource: r, names: []string{defaultScope}})
	for _, u := range s.users {
		key := consentKey{u.ObjectID, app.ClientID, r.AppID}
		if s.consents[key] == nil {
			s.consents[key] = make(nameSet)
		}
		for _, name := range registered {
			s.consents[key][name] = true
		}
	}
	return nil
}

// RemoveConsent withdraws what a user agreed to for an app at a resource (its
// identifier URI): AADSTS65001 until a sign-in that asks for it again.
func (s *Simulator) RemoveConsent(username, clientID, resource string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, app, r := s.userNamed(username), s.apps[appKey(clientID)], s.resourceNamed(resource)
	if u == nil || app == nil || r == nil {
		return fmt.Errorf("no such user, app or resource: %q, %q, %q", username, clientID, resource)
	}
	delete(s.consents, consentKey{u.ObjectID, app.ClientID, r.AppID})
	return nil
}

// granted words the scope member of a token response: what was asked, in the
// form it was asked, then whatever else of that resource the user has agreed
// to. The OpenID scopes are named only beside Graph's, offline_access never.
// s.mu must be held.
func (s *Simulator) granted(u *userRecord, app *App, req *scopeRequest, r *resourceRequest) string {
	var scopes []string
	prefix := r.prefix
	if prefix != "" {
		prefix += "/"
	}
	if !r.isDefault() {
		scopes = append(scopes, r.asked...)
	}
	var more []string
	for name := range s.consents[consentKey{u.ObjectID, app.ClientID, r.AppID}] {
		if !slices.Contains(r.names, name) {
			more = append(more, prefix+name)
		}
	}
	sort.Strings(more)
	scopes = append(scopes, more...)
	if r.isDefault() {
		scopes = append(scopes, r.asked...)
	}
	if r.AppID == graphAppID {
		scopes = append(scopes, req.openIDScopes()...)
	}
	return strings.Join(scopes, " ")
}

func (req *scopeRequest) openIDScopes() []string {
	var scopes []string
	for _, o := range []struct {
		name  string
		asked bool
	}{{"openid", req.openid}, {"profile", req.profile}, {"email", req.email}} {
		if o.asked {
			scopes = append(scopes, o.name)
		}
	}
	return scopes
}

// graphOnly is what a request with OpenID scopes alone is for.
func (s *Simulator) graphOnly() *resourceRequest {
	return &resourceRequest{Resource: s.resourceNamed(graphAppID)}
}
