// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"net/http"
	"net/url"
	"strings"
)

// signIn takes the form of the sign-in and the consent page. Its fields:
//
//	flow      the hidden field of the page
//	login     the username picked from the list
//	username  a username typed in; it wins over login
//	action    signin, accept (consent page) or cancel
func (c *call) signIn() {
	s, id := c.s, c.form.Get("flow")
	s.mu.Lock()
	flow := s.flows[id]
	s.mu.Unlock()
	if c.r.Method != http.MethodPost || flow == nil || s.now().Sub(flow.opened) > flowLifetime {
		c.errorPage(
			aadsts(
				50089,
				"The sign-in page has expired or was already used. Start again from the "+
					"application.",
			),
		)
		return
	}
	switch c.form.Get("action") {
	case "cancel":
		if s.closeFlow(id) {
			declined := aadsts(65004, "")
			if flow.username == "" {
				// pressed on the sign-in page; declining consent has none
				declined.Subcode = "cancel"
			}
			c.redirectError(flow, declined)
		}
	case "accept":
		if flow.username == "" {
			c.signInPage(id, flow, "Choose an account first.")
			return
		}
		c.finishSignIn(id, flow, flow.username)
	default:
		c.pickUser(id, flow)
	}
}

// closeFlow takes a flow off the list; false if another request was faster.
func (s *Simulator) closeFlow(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.flows[id]
	delete(s.flows, id)
	return ok
}

// pickUser is the sign-in page's form: it either goes on, or shows the page
// again with what is wrong.
func (c *call) pickUser(id string, flow *signInFlow) {
	name := strings.TrimSpace(c.form.Get("username"))
	if name == "" {
		name = c.form.Get("login")
	}
	u, problem := c.s.mayPick(name, flow.at)
	if problem != nil {
		c.entry.Error, c.entry.AADSTS = problem.Err, problem.Code
		c.signInPage(id, flow, problem.Error())
		return
	}
	if flow.prompt == "consent" {
		c.s.mu.Lock()
		flow = flow.askedFor(u.Username)
		c.s.flows[id] = flow
		c.s.mu.Unlock()
		c.consentPage(id, flow)
		return
	}
	c.finishSignIn(id, flow, u.Username)
}

// askedFor returns the flow with the user who has to consent. Flows are never
// changed in place: other requests may be reading them.
func (f signInFlow) askedFor(username string) *signInFlow {
	f.username = username
	return &f
}

// mayPick checks that a user exists, belongs here and is not locked out.
func (s *Simulator) mayPick(name string, at authority) (User, *entraError) {
	if name == "" {
		return User{}, aadsts(50034, "Enter or pick a username.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userNamed(name)
	if u == nil {
		return User{}, aadsts(50034, "The user account "+name+" does not exist in the directory.")
	}
	if !at.admits(u.TenantID) {
		return User{}, aadsts(
			50020,
			"User account '"+u.Username+"' does not exist in tenant '"+at.directory()+
				"' and cannot access the application.",
		)
	}
	if refused := u.lockedOut(); refused != nil {
		return User{}, refused
	}
	return u.User, nil
}

// finishSignIn starts the browser's session and answers the client.
func (c *call) finishSignIn(id string, flow *signInFlow, username string) {
	if !c.s.closeFlow(id) {
		c.errorPage(
			aadsts(50089, "The sign-in page was already used. Start again from the application."))
		return
	}
	cookie := randomString(24)
	c.s.mu.Lock()
	c.s.sequence++
	sequence := c.s.sequence
	if u := c.s.users[userKey(username)]; u != nil && flow.challenged {
		if u.challenged == nil {
			u.challenged = make(map[int64]bool)
		}
		u.challenged[sequence] = true
	}
	c.s.sessions[cookie] = session{username: username, sequence: sequence}
	c.s.mu.Unlock()
	c.entry.User = username
	c.header.Add(
		"Set-Cookie",
		(&http.Cookie{Name: sessionCookie, Value: cookie, Path: "/", Secure: true, HttpOnly: true,
			SameSite: http.SameSiteNoneMode}).String(),
	)
	c.complete(flow, username, sequence)
}

// signOut ends the browser's session and goes to post_logout_redirect_uri if an
// app has registered it.
func (c *call) signOut() {
	c.s.mu.Lock()
	if cookie, err := c.r.Cookie(sessionCookie); err == nil {
		delete(c.s.sessions, cookie.Value)
	}
	registered := false
	target := c.form.Get("post_logout_redirect_uri")
	for _, app := range c.s.apps {
		registered = registered || app.platformOf(target) != ""
	}
	c.s.mu.Unlock()
	c.header.Add(
		"Set-Cookie",
		(&http.Cookie{Name: sessionCookie, Path: "/", MaxAge: -1, Secure: true,
			HttpOnly: true}).String(),
	)
	if _, err := url.Parse(target); err == nil && registered {
		c.status = http.StatusFound
		c.header.Set("Location", target)
		return
	}
	c.messagePage("You signed out of your account",
		"It's a good idea to close all browser windows.")
}
