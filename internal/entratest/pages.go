// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "pages/*.html"))

// page answers with a page. Only the form_post page has a script: the nonce
// lets that one run.
func (c *call) page(status int, name string, data map[string]any) {
	nonce := randomString(16)
	data["ScriptNonce"] = nonce
	c.status = status
	c.body.Reset()
	if err := pages.ExecuteTemplate(&c.body, name, data); err != nil {
		panic("entratest: page " + name + ": " + err.Error())
	}
	c.header.Set("Content-Type", "text/html; charset=utf-8")
	c.header.Set(
		"Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-"+nonce+
			"'; base-uri 'none'; frame-ancestors 'none'",
	)
	c.header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
}

// pickable lists the users for a page, those of the right tenant only, with one
// of them selected.
func (c *call) pickable(at authority, hint string) []map[string]any {
	users := c.s.Users()
	var list []map[string]any
	for _, u := range users {
		if at.admits(u.TenantID) {
			short, _, _ := strings.Cut(u.Username, "@")
			list = append(
				list,
				map[string]any{
					"Username": u.Username,
					"Name":     u.Name,
					"Selected": hint != "" &&
						(strings.EqualFold(hint, u.Username) || strings.EqualFold(hint, short)),
				},
			)
		}
	}
	return list
}

// signInPage asks who signs in. Signing in also means consent, as the page says.
func (c *call) signInPage(id string, flow *signInFlow, problem string) {
	c.page(http.StatusOK, "sign_in.html", map[string]any{
		"Action": flow.at.base() + "/login", "Flow": id, "Problem": problem,
		"App": flow.app.Name, "Directory": flow.at.directory(), "RedirectURI": flow.redirectURI,
		"Scopes": strings.Fields(flow.scope), "Users": c.pickable(flow.at, flow.loginHint),
	})
}

func (c *call) consentPage(id string, flow *signInFlow) {
	c.page(http.StatusOK, "consent.html", map[string]any{
		"Action": flow.at.base() + "/login", "Flow": id,
		"App": flow.app.Name, "Username": flow.username, "Scopes": strings.Fields(flow.scope),
	})
}

func (c *call) devicePage(userCode, problem string) {
	c.page(http.StatusOK, "device.html", map[string]any{
		"Action": "https://" + c.host() + "/common/oauth2/deviceauth", "UserCode": userCode,
		"Problem": problem,
		"Users":   c.pickable(authority{segment: "common"}, ""),
	})
}

// formPostPage hands the answer to the client by a form that submits itself
// (OAuth 2.0 Form Post Response Mode).
func (c *call) formPostPage(redirectURI string, params url.Values) {
	c.page(http.StatusOK, "form_post.html",
		map[string]any{"RedirectURI": redirectURI, "Params": params})
}

// errorPage shows an error that must not be redirected.
func (c *call) errorPage(e *entraError) {
	c.entry.Error, c.entry.AADSTS = e.Err, e.Code
	c.page(http.StatusBadRequest, "error.html", map[string]any{
		"Message": e.Error(), "TraceID": c.traceID, "CorrelationID": c.correlationID,
		"Timestamp": c.s.now().UTC().Format("2006-01-02 15:04:05Z"),
	})
}

func (c *call) messagePage(title, text string) {
	c.page(http.StatusOK, "message.html", map[string]any{"Title": title, "Text": text})
}

// welcome is what a person sees who opens the simulator's address.
func (s *Simulator) welcome(w http.ResponseWriter, r *http.Request) {
	c := s.newCall(r, "")
	c.page(http.StatusOK, "welcome.html", map[string]any{
		"Authority": "https://" + r.Host + "/" + s.Tenant() + "/v2.0", "Tenant": s.Tenant(),
		"Apps": s.Apps(), "Users": s.Users(),
	})
	c.send(w)
}
