// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// deviceGrant is one device code sign-in (RFC 8628).
type deviceGrant struct {
	userCode string
	clientID string
	platform Platform
	policy   string
	at       authority
	scope    string
	issued   time.Time
	polled   time.Time // zero before the first poll, which is never too early
	interval time.Duration
	username string // who approved
	sequence int64  // of that sign-in
	declined bool
	redeemed bool
}

func (s *Simulator) deviceLifetime() time.Duration {
	if s.lifetimes.DeviceCode != 0 {
		return s.lifetimes.DeviceCode
	}
	return 15 * time.Minute
}

// deviceCode is the device authorization endpoint.
func (c *call) deviceCode() {
	if c.r.Method != http.MethodPost {
		c.refuse(aadsts(900561, ""))
		return
	}
	response, refused := c.startDevice()
	if refused != nil {
		c.refuse(refused)
		return
	}
	c.change(response)
	c.json(http.StatusOK, response)
}

func (c *call) startDevice() (map[string]any, *entraError) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	app, refused := s.appAt(c.at, c.form.Get("client_id"))
	if refused != nil {
		return nil, refused
	}
	scope := c.form.Get("scope")
	if strings.TrimSpace(scope) == "" {
		return nil, missingParameter("scope")
	}
	req, refused := s.parseScopes(scope, c.at)
	if refused != nil {
		return nil, refused
	}
	if refused := req.together(); refused != nil {
		return nil, refused
	}
	if refused := req.askable(app); refused != nil {
		return nil, refused
	}
	platform := Web // no redirect URI tells what the client is
	if app.AllowPublicFlows {
		platform = Public
	}
	device := &deviceGrant{
		userCode: newUserCode(), clientID: app.ClientID, platform: platform, policy: c.at.policy,
		at:    c.at,
		scope: scope, issued: s.now(), interval: s.deviceInterval,
	}
	value := "BAQABAAEA" + randomString(120)
	s.devices[value] = device
	page := "https://" + c.host() + "/common/oauth2/deviceauth"
	return map[string]any{
		"user_code":        device.userCode,
		"device_code":      value,
		"verification_uri": page,
		"expires_in":       int(s.deviceLifetime() / time.Second),
		"interval":         max(1, int(device.interval/time.Second)),
		"message": fmt.Sprintf(
			"To sign in, use a web browser to open the page %s and enter the code %s to "+
				"authenticate.",
			page, device.userCode),
	}, nil
}

// newUserCode returns nine letters and digits that are hard to confuse.
func newUserCode() string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	b := make([]byte, 9)
	_, _ = rand.Read(b)
	for i := range b {
		b[i] = alphabet[int(b[i])%len(alphabet)]
	}
	return string(b)
}

// redeemDeviceCode is one poll of the token endpoint. Polling faster than the
// interval gets slow_down and a longer interval (RFC 8628, section 3.5).
func (c *call) redeemDeviceCode(app *App) (*grant, *entraError) {
	value := c.form.Get("device_code")
	if value == "" {
		return nil, missingParameter("device_code")
	}
	device := c.s.devices[value]
	if device == nil || device.redeemed || device.clientID != app.ClientID ||
		device.policy != c.at.policy {
		return nil, aadsts(70018, "The device_code sent to the /token endpoint wasn't recognized.")
	}
	if refused := device.pending(c.s.now(), c.s.deviceLifetime()); refused != nil {
		return nil, refused
	}
	u, refused := c.s.userOf(device.username)
	if refused != nil {
		return nil, refused
	}
	req, refused := c.s.parseScopes(device.scope, c.at)
	if refused != nil {
		return nil, refused
	}
	resource := c.s.graphOnly()
	if len(req.resources) > 0 {
		resource = req.resources[0]
	}
	g, refused := c.grant(app, u, req, resource, device.sequence)
	if refused != nil {
		return nil, refused
	}
	device.redeemed = true
	if req.offline && !c.omits("refresh_token") {
		g.refresh = c.s.startFamily(g, device.platform, device.policy)
	}
	return g, nil
}

// pending is the answer to a poll while there are no tokens to be had.
func (d *deviceGrant) pending(now time.Time, lifetime time.Duration) *entraError {
	tooEarly := !d.polled.IsZero() &&
		now.Sub(d.polled) < d.interval*8/10 // a client's timer may be early by a little
	d.polled = now
	switch {
	case now.Sub(d.issued) >= lifetime:
		return aadsts(70020, "")
	case d.declined:
		e := aadsts(65004, "The end user has denied the authorization request.")
		e.Err = "authorization_declined"
		return e
	case tooEarly:
		d.interval += 5 * time.Second
		return otherProviderError("slow_down",
			"The client is polling too often: wait for the interval, and five seconds more.")
	case d.username == "":
		return aadsts(70016, "")
	}
	return nil
}

// deviceAuth is the page where a person enters a device's code. Its fields:
//
//	otc       the user code
//	login     the username picked from the list
//	username  a username typed in; it wins over login
//	action    signin or cancel
func (c *call) deviceAuth() {
	if c.r.Method != http.MethodPost {
		c.devicePage(c.form.Get("otc"), "")
		return
	}
	userCode := strings.ToUpper(strings.TrimSpace(c.form.Get("otc")))
	name := strings.TrimSpace(c.form.Get("username"))
	if name == "" {
		name = c.form.Get("login")
	}
	decline := c.form.Get("action") == "cancel"
	if refused := c.s.answerDevice(userCode, name, decline); refused != nil {
		c.entry.Error, c.entry.AADSTS = refused.Err, refused.Code
		c.devicePage(userCode, refused.Error())
		return
	}
	if decline {
		c.messagePage("You have cancelled the sign-in",
			"The device was not signed in. You may now close this window.")
		return
	}
	c.entry.User = name
	c.messagePage("You have signed in on your device", "You may now close this window.")
}

// answerDevice approves or declines a device's sign-in.
func (s *Simulator) answerDevice(userCode, name string, decline bool) *entraError {
	s.mu.Lock()
	var device *deviceGrant
	for _, d := range s.devices {
		if d.userCode == userCode && d.username == "" && !d.declined &&
			s.now().Sub(d.issued) < s.deviceLifetime() {
			device = d
		}
	}
	if device == nil {
		s.mu.Unlock()
		return aadsts(70018, "That code didn't work. Check the code and try again.")
	}
	if decline {
		device.declined = true
		s.mu.Unlock()
		return nil
	}
	at := device.at
	s.mu.Unlock()

	picked, refused := s.mayPick(name, at)
	if refused != nil {
		return refused
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	u, app := s.users[userKey(picked.Username)], s.apps[appKey(device.clientID)]
	if u == nil || app == nil {
		return aadsts(700016, "")
	}
	req, refused := s.parseScopes(device.scope, at)
	if refused != nil {
		return refused
	}
	if refused := s.consent(u, app, req); refused != nil {
		return refused
	}
	s.sequence++
	device.username, device.sequence = u.Username, s.sequence
	return nil
}
