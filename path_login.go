// SPDX-License-Identifier: MPL-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/framework"
	"github.com/hashicorp/vault/sdk/logical"

	"vault-plugin-secrets-entra/internal/entra"
)

const (
	loginPath          = "login/"
	loginStoragePrefix = "login/"

	// maxPendingLogins per account; one more evicts the oldest.
	maxPendingLogins = 20
)

// The statuses of a login.
const (
	loginPending   = "pending"
	loginSucceeded = "succeeded"
	loginError     = "failed"
	loginExpired   = "expired"
)

// loginEntry is one attempt to sign in, from authorization URL to callback. It
// is stored under the hash of its state, because storage keys are not encrypted,
// and deleted before its code is redeemed.
type loginEntry struct {
	unknownFields

	Version     int           `json:"version"`
	Account     string        `json:"account"`
	LoginID     string        `json:"login_id"`
	RedirectURI string        `json:"redirect_uri"`
	Scopes      []string      `json:"scopes"`      // of the default token
	KeptScopes  []string      `json:"kept_scopes"` // those the account keeps; none where they are the config's
	Roles       []string      `json:"roles"`       // consented to beside that
	Consent     []string      `json:"consent"`     // all that the person is asked for
	Verifier    entra.Secret  `json:"verifier"`
	Nonce       entra.Secret  `json:"nonce"`
	Claims      string        `json:"claims"`
	DeviceCode  entra.Secret  `json:"device_code"` // of a device code sign-in, which has no callback
	Interval    time.Duration `json:"interval"`    // between its polls
	RequestedBy requester     `json:"requested_by"`
	ClientID    string        `json:"client_id"`
	Authority   string        `json:"authority"`
	CreatedTime time.Time     `json:"created_time"`
	Expiry      time.Time     `json:"expiry"`
}

// requester is who asked for a login, as Vault knows them.
type requester struct {
	Entity      string    `json:"entity"`       // the identity entity's name
	Aliases     []string  `json:"aliases"`      // and those of its aliases
	DisplayName string    `json:"display_name"` // the token's, chosen by the requester
	Address     string    `json:"address"`
	Time        time.Time `json:"time"`
}

// loginOutcome is what became of an account's latest login.
type loginOutcome struct {
	LoginID     string    `json:"login_id"`
	StateHash   string    `json:"state_hash"`
	Status      string    `json:"status"`
	Word        string    `json:"word"` // of the fault that ended it
	Message     string    `json:"message"`
	Code        string    `json:"code"`
	Username    string    `json:"username"`
	Time        time.Time `json:"time"` // when it ended
	RequestedBy string    `json:"requested_by"`
	Expiry      time.Time `json:"expiry"`
}

func (b *backend) pathLogin() []*framework.Path {
	return []*framework.Path{{
		Pattern:      loginPath + framework.GenericNameWithAtRegex("account"),
		DisplayAttrs: &framework.DisplayAttributes{OperationPrefix: operationPrefix},
		Fields: map[string]*framework.FieldSchema{
			"account":       accountField(),
			"scopes":        {Type: framework.TypeCommaStringSlice, Description: "Scopes of token/<account>, kept on the account; one resource. If left out: those kept from an earlier login, else the config's. \"\" goes back to the config's."},
			"roles":         {Type: framework.TypeCommaStringSlice, Description: "Roles to consent to in the same sign-in. If left out: those the account has."},
			"redirect_uri":  {Type: framework.TypeString, Description: "Where Entra sends the code: one of the config's redirect_uris. The first one if left out."},
			"response_mode": {Type: framework.TypeString, Description: "form_post (default) or query (default for a loopback redirect URI that is not this mount's callback).", AllowedValues: []any{"form_post", "query"}},
			"prompt":        {Type: framework.TypeString, Description: "login, none, consent or select_account.", AllowedValues: []any{"login", "none", "consent", "select_account"}},
			"login_hint":    {Type: framework.TypeString, Description: "Username to fill in. The pinned username if left out."},
			"domain_hint":   {Type: framework.TypeString, Description: "Domain to sign in at, skips home realm discovery."},
			"claims":        {Type: framework.TypeString, Description: "Claims request: a JSON object."},
		},
		Operations: map[logical.Operation]framework.OperationHandler{
			logical.UpdateOperation: &framework.PathOperation{
				Callback:                    b.handleLoginStart,
				Summary:                     "Start a sign-in: returns the authorization URL to open in a browser.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "start", OperationSuffix: "login"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: http.StatusText(http.StatusOK),
					Fields: map[string]*framework.FieldSchema{
						"auth_url":      {Type: framework.TypeString, Required: true, Description: "Authorization URL; whoever opens it signs in."},
						"login_id":      {Type: framework.TypeString, Required: true, Description: "Name of this login in its status."},
						"redirect_uri":  {Type: framework.TypeString, Required: true, Description: "Where Entra sends the code."},
						"response_mode": {Type: framework.TypeString, Required: true, Description: "How Entra sends the code."},
						"expire_time":   {Type: framework.TypeString, Required: true, Description: "When the URL stops working, RFC 3339."},
					},
				}}},
			},
			logical.ReadOperation: &framework.PathOperation{
				Callback:                    b.handleLoginRead,
				Summary:                     "Read what became of the account's latest login.",
				DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: "read", OperationSuffix: "login-status"},
				ForwardPerformanceStandby:   true,
				ForwardPerformanceSecondary: true,
				Responses: map[int][]framework.Response{http.StatusOK: {{
					Description: http.StatusText(http.StatusOK),
					Fields: map[string]*framework.FieldSchema{
						"login_id":     {Type: framework.TypeString, Required: true, Description: "Name of the login."},
						"status":       {Type: framework.TypeString, Required: true, Description: "pending, succeeded, failed or expired."},
						"error":        {Type: framework.TypeString, Required: true, Description: "Why it failed; empty otherwise."},
						"error_code":   {Type: framework.TypeString, Required: true, Description: "AADSTS code or OAuth error, where Entra said one."},
						"username":     {Type: framework.TypeString, Required: true, Description: "Who signed in."},
						"expire_time":  {Type: framework.TypeString, Required: true, Description: "When its URL stops working, RFC 3339."},
						"requested_by": {Type: framework.TypeString, Required: true, Description: "Who asked for it."},
					},
				}}},
			},
		},
		HelpSynopsis:    "Start a sign-in for an account, or read how the latest one went.",
		HelpDescription: loginHelp,
	}}
}

// accountField is the account's name in a path.
func accountField() *framework.FieldSchema {
	return &framework.FieldSchema{
		Type:        framework.TypeString,
		Description: "Name of the account in this mount. Case matters.",
		Required:    true,
	}
}

func (b *backend) handleLoginStart(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	reg, err := b.registration(ctx, req.Storage)
	if err != nil {
		return nil, err
	}
	account := d.Get("account").(string)
	known, err := b.accounts.get(ctx, req.Storage, account)
	if err != nil {
		return nil, err
	}
	if known != nil && known.Disabled {
		return nil, errDisabled(account)
	}
	now := time.Now()
	state := entra.NewRandom()
	login, ask, err := b.newLogin(ctx, req, d, reg, known, now)
	if err != nil {
		return nil, err
	}
	ask.State, ask.Verifier, ask.Nonce = state, login.Verifier, login.Nonce.Reveal()
	authURL, err := reg.client.AuthorizeURL(ctx, ask)
	if err != nil {
		return nil, refusalOf(err, now).loginFault(account)
	}
	if err := b.storeLogin(ctx, req.Storage, login, state); err != nil {
		return nil, err
	}
	return &logical.Response{Data: map[string]any{
		"auth_url":      authURL,
		"login_id":      login.LoginID,
		"redirect_uri":  login.RedirectURI,
		"response_mode": ask.ResponseMode,
		"expire_time":   formatTime(login.Expiry),
	}}, nil
}

// newLogin makes a login, and what to ask Entra for, from a request's fields.
func (b *backend) newLogin(ctx context.Context, req *logical.Request, d *framework.FieldData, reg *registration, known *accountEntry, now time.Time) (*loginEntry, entra.AuthorizeRequest, error) {
	ask := entra.AuthorizeRequest{
		Prompt:     d.Get("prompt").(string),
		LoginHint:  d.Get("login_hint").(string),
		DomainHint: d.Get("domain_hint").(string),
		Claims:     d.Get("claims").(string),
	}
	login := b.newLoginEntry(req, reg, d.Get("account").(string), now)
	login.Verifier, login.Nonce, login.Claims = entra.Secret(entra.NewRandom()), entra.Secret(entra.NewRandom()), ask.Claims
	err := b.chooseScopes(ctx, req.Storage, d, reg, known, login)
	if err != nil {
		return nil, ask, err
	}
	if login.RedirectURI, err = reg.redirectURI(d.Get("redirect_uri").(string)); err != nil {
		return nil, ask, err
	}
	if ask.ResponseMode, err = responseMode(d.Get("response_mode").(string), login.RedirectURI, req.MountPoint); err != nil {
		return nil, ask, err
	}
	if ask.LoginHint == "" && ask.Prompt != "select_account" && known != nil {
		ask.LoginHint = known.pinnedUsername()
	}
	if err := checkAuthorizeRequest(ask); err != nil {
		return nil, ask, err
	}
	ask.RedirectURI, ask.Scopes = login.RedirectURI, login.Consent
	return login, ask, nil
}

// newLoginEntry is a login that begins now, however the person will sign in.
func (b *backend) newLoginEntry(req *logical.Request, reg *registration, account string, now time.Time) *loginEntry {
	return &loginEntry{
		Version:     schemaVersion,
		Account:     account,
		LoginID:     entra.NewRandom()[:16],
		RequestedBy: b.requester(req, now),
		ClientID:    reg.ClientID,
		Authority:   reg.authority(),
		CreatedTime: now.UTC(),
		Expiry:      now.UTC().Add(reg.LoginTTL),
	}
}

// chooseScopes settles what a login is for.
func (b *backend) chooseScopes(ctx context.Context, s logical.Storage, d *framework.FieldData, reg *registration, known *accountEntry, login *loginEntry) (err error) {
	if login.Scopes, login.KeptScopes, err = loginScopes(d, reg.configEntry, known); err != nil {
		return err
	}
	login.Roles, login.Consent, err = b.loginRoles(ctx, s, d, login.Scopes, known)
	return err
}

// loginScopes are the scopes to ask for, and those to keep on the account: the
// login's own, else those an earlier login kept there, else the config's.
func loginScopes(d *framework.FieldData, cfg *configEntry, known *accountEntry) (ask, keep []string, err error) {
	_, named := d.GetOk("scopes")
	keep = words(d.Get("scopes").([]string))
	switch {
	case named && len(keep) > 0:
		if err := entra.CheckScopes(keep); err != nil {
			return nil, nil, invalid("scopes: %s", err)
		}
		return keep, keep, nil
	case !named && known != nil && len(known.Scopes) > 0:
		return known.Scopes, known.Scopes, nil
	default:
		return cfg.Scopes, nil, nil
	}
}

// loginRoles are the roles to consent to, and all scopes that this takes beside
// those of the default token: /authorize may ask for several resources at once.
func (b *backend) loginRoles(ctx context.Context, s logical.Storage, d *framework.FieldData, scopes []string, known *accountEntry) (roles, consent []string, err error) {
	_, named := d.GetOk("roles")
	roles = words(d.Get("roles").([]string))
	if !named && known != nil {
		roles = known.Roles
	}
	consent = slices.Clone(scopes)
	for _, name := range roles {
		role, err := b.role(ctx, s, name)
		switch {
		case err != nil:
			return nil, nil, err
		case role == nil && named:
			return nil, nil, invalid("roles: there is no role %q in this mount", name)
		case role == nil: // deleted since
			continue
		}
		for _, scope := range role.Scopes {
			if !slices.Contains(consent, scope) {
				consent = append(consent, scope)
			}
		}
	}
	return roles, consent, nil
}

// responseMode is form_post unless the redirect URI is a loopback listener of a
// person's own: Vault's audit log shows a GET's query string in clear.
func responseMode(asked, redirectURI, mountPoint string) (string, error) {
	switch asked {
	case "form_post", "query":
		return asked, nil
	case "":
	default:
		return "", invalid("response_mode: must be form_post or query")
	}
	u, err := url.Parse(redirectURI)
	if err != nil {
		return "", invalid("redirect_uri: %q is not a URL", redirectURI)
	}
	own := strings.HasSuffix(u.Path, "/"+mountPoint+callbackPath)
	if isLoopback(u.Hostname()) && !own {
		return "query", nil
	}
	return "form_post", nil
}

func checkAuthorizeRequest(ask entra.AuthorizeRequest) error {
	if !slices.Contains([]string{"", "login", "none", "consent", "select_account"}, ask.Prompt) {
		return invalid("prompt: must be login, none, consent or select_account")
	}
	if ask.Prompt == "select_account" && ask.LoginHint != "" {
		return invalid("prompt: select_account does not go with login_hint")
	}
	return checkClaims(ask.Claims)
}

// checkClaims holds a claims request to being a JSON object (OIDC Core section 5.5).
func checkClaims(claims string) error {
	var object map[string]json.RawMessage
	if claims != "" && (json.Unmarshal([]byte(claims), &object) != nil || object == nil) {
		return invalid("claims: must be a JSON object")
	}
	return nil
}

// requester takes from Vault who is asking.
func (b *backend) requester(req *logical.Request, now time.Time) requester {
	r := requester{DisplayName: req.DisplayName, Time: now.UTC()}
	if req.Connection != nil {
		r.Address = req.Connection.RemoteAddr
	}
	if req.EntityID == "" {
		return r
	}
	entity, err := b.System().EntityInfo(req.EntityID)
	if err != nil || entity == nil {
		b.Logger().Warn("the requester's entity could not be looked up", "entity_id", req.EntityID, "error", err)
		return r
	}
	r.Entity = entity.Name
	for _, alias := range entity.Aliases {
		r.Aliases = append(r.Aliases, alias.Name)
	}
	return r
}

// String names the requester: by the entity where Vault has one, else by the
// token's display name, which the requester may have chosen.
func (r requester) String() string {
	var who string
	switch {
	case r.Entity != "" && len(r.Aliases) > 0:
		who = fmt.Sprintf("%s (%s)", r.Entity, strings.Join(r.Aliases, ", "))
	case r.Entity != "":
		who = r.Entity
	case r.DisplayName != "":
		who = fmt.Sprintf("%q (a name chosen by the requester)", r.DisplayName)
	default:
		who = "unknown"
	}
	if r.Address != "" {
		who += " from " + r.Address
	}
	return who
}

// storeLogin stores a new login and notes it on its account, which begins with
// its first login. The login goes first: an account never lists one that is not there.
func (b *backend) storeLogin(ctx context.Context, s logical.Storage, login *loginEntry, state string) error {
	hash := stateHash(state)
	var evicted []string
	_, err := b.accounts.update(ctx, s, login.Account, func(e *accountEntry) (*accountEntry, error) {
		now := time.Now()
		if e == nil {
			e = newAccountEntry(now)
		}
		if e.Disabled {
			return nil, errDisabled(login.Account)
		}
		if err := writeEntry(ctx, s, loginStoragePrefix+hash, login); err != nil {
			return nil, err
		}
		evicted = e.beginLogin(hash, login, now)
		return e, nil
	})
	if err != nil {
		if undo := deleteLogin(ctx, s, hash); undo != nil {
			b.Logger().Warn("a login that was never handed out stays until it expires", "account", login.Account, "error", undo)
		}
		return err
	}
	if login.DeviceCode != "" {
		b.worker.deviceStarted(hash, login.Interval)
	}
	for _, old := range evicted {
		if err := deleteLogin(ctx, s, old); err != nil {
			b.Logger().Warn("an evicted login stays until it expires", "account", login.Account, "error", err)
		}
	}
	return nil
}

// beginLogin notes a new pending login and returns the state hashes of those
// that make room for it: the expired ones and, at the limit, the oldest.
func (e *accountEntry) beginLogin(hash string, login *loginEntry, now time.Time) (evicted []string) {
	live := e.livePending(now)
	live = live[max(0, len(live)-maxPendingLogins+1):]
	for _, p := range e.PendingLogins {
		if !slices.Contains(live, p) {
			evicted = append(evicted, p.StateHash)
		}
	}
	e.PendingLogins = append(live, pendingLogin{StateHash: hash, Expiry: login.Expiry})
	e.LatestLogin = &loginOutcome{
		LoginID:     login.LoginID,
		StateHash:   hash,
		Status:      loginPending,
		RequestedBy: login.RequestedBy.String(),
		Expiry:      login.Expiry,
	}
	return evicted
}

// pinnedUsername is the username that is expected to sign in, if that is known.
func (e *accountEntry) pinnedUsername() string {
	if e.Pin.User.PreferredUsername != "" {
		return e.Pin.User.PreferredUsername
	}
	return e.Pin.Username
}

func (b *backend) handleLoginRead(ctx context.Context, req *logical.Request, d *framework.FieldData) (*logical.Response, error) {
	e, err := b.accounts.get(ctx, req.Storage, d.Get("account").(string))
	if err != nil || e == nil || e.LatestLogin == nil {
		return nil, err
	}
	login := e.LatestLogin
	return &logical.Response{Data: map[string]any{
		"login_id":     login.LoginID,
		"status":       login.statusAt(time.Now()),
		"error":        login.errorText(),
		"error_code":   login.Code,
		"username":     login.Username,
		"expire_time":  formatTime(login.Expiry),
		"requested_by": login.RequestedBy,
	}}, nil
}

// statusAt is the login's status: a pending one whose time is up has expired.
func (o *loginOutcome) statusAt(now time.Time) string {
	if o.Status == loginPending && !now.Before(o.Expiry) {
		return loginExpired
	}
	return o.Status
}

func (o *loginOutcome) errorText() string {
	if o.Message == "" {
		return ""
	}
	return o.Word + ": " + o.Message
}

// stateHash names a login in storage without giving away its state.
func stateHash(state string) string {
	sum := sha256.Sum256([]byte(state))
	return hex.EncodeToString(sum[:])
}

// getLogin reads the login that was given state, nil if there is none.
func getLogin(ctx context.Context, s logical.Storage, hash string) (*loginEntry, error) {
	login := &loginEntry{}
	found, err := readEntry(ctx, s, loginStoragePrefix+hash, login)
	if err != nil || !found {
		return nil, err
	}
	return login, nil
}

func deleteLogin(ctx context.Context, s logical.Storage, hash string) error {
	if err := s.Delete(ctx, loginStoragePrefix+hash); err != nil {
		return fmt.Errorf("delete login: %w", err)
	}
	return nil
}

// sweepLogin deletes a login if it expired without a callback.
func sweepLogin(ctx context.Context, s logical.Storage, hash string, now time.Time) error {
	login, err := getLogin(ctx, s, hash)
	if err != nil || login == nil || now.Before(login.Expiry) {
		return err
	}
	return deleteLogin(ctx, s, hash)
}

const loginHelp = `
A write starts a sign-in and returns auth_url: open it in a browser and sign in.
The URL works once and for login_ttl (10 minutes by default). Entra sends the
code to redirect_uri: to this mount's callback, or to a loopback listener that
hands it to callback/<account>.

A read returns the status of the latest login: pending, succeeded, failed or
expired.

The first sign-in pins the account to the user who signed in. Later sign-ins by
anyone else are refused.
`
