// SPDX-License-Identifier: MPL-2.0

// Package entratest simulates Microsoft Entra ID: its discovery document and
// keys, the authorize endpoint with a sign-in page that a person, curl or a
// scripted browser can use, the device code flow and the token endpoint.
//
// It is a server and not a mock: it is stateful, it checks what Entra checks
// (redirect URIs and their platform, PKCE, single-use codes, client
// credentials, scopes, consent) and it refuses with Entra's own errors. It
// shares no code with the engine, and Microsoft's own clients can be used with it.
//
// A test starts one with [Start], signs users in with [Simulator.SignIn], and
// scripts failures with [FaultScript.Add].
package entratest

import (
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Options say what a simulator starts with. The zero value is a working one.
type Options struct {
	// RedirectURIs of the built-in confidential app. Default: platform web, on
	// localhost and 127.0.0.1 (any port) with the paths /callback and
	// /v1/entra/callback, and https://vault.example.com/v1/entra/callback.
	RedirectURIs []RedirectURI

	// Rotation says what becomes of a refresh token that was used. Default
	// RotateKeepOld, which is what Entra does.
	Rotation Rotation

	// Lifetimes that differ from Entra's.
	Lifetimes Lifetimes

	// DeviceInterval is the polling interval of the device code flow, default 5s.
	DeviceInterval time.Duration

	// AssertionAlgs are the algorithms of client assertions that are taken, and that discovery
	// then names: AD FS takes RS256 alone. Default: PS256 and RS256, not named, as at Entra.
	AssertionAlgs []string

	// Now is the clock. Default time.Now. Delays in faults use real time.
	Now func() time.Time

	// NoUsers leaves out the built-in users.
	NoUsers bool

	// LogSecrets keeps secrets, codes and tokens in the request log.
	LogSecrets bool
}

// Lifetimes of what the simulator issues. Zero means Entra's own.
type Lifetimes struct {
	AccessToken time.Duration // default: random, 60 to 90 min
	// with the client capability cp1; default: AccessToken if set, else random, 20 to 28 h
	CAEToken     time.Duration
	RefreshToken time.Duration // of inactivity; default 90 days, 24 h for a SPA redirect URI
	Code         time.Duration // default 10 min
	DeviceCode   time.Duration // default 15 min
}

// Simulator is one simulated Entra ID. It is an [http.Handler] that expects to
// be reached over TLS: every URL it gives out is https, at the request's Host.
// All methods may be called from many goroutines.
type Simulator struct {
	// App is the built-in confidential app and PublicApp the built-in public one.
	// Both are multi-tenant. They are copies of what was registered at the start.
	App, PublicApp App

	// Faults is the fault script.
	Faults *FaultScript

	now            func() time.Time
	logSecrets     bool
	deviceInterval time.Duration
	keys           *keyRing
	assertionAlgs  []jose.SignatureAlgorithm
	log            *requestLog
	control        http.Handler

	closing   chan struct{}
	closeOnce sync.Once

	transportMu sync.Mutex // guards running against a late Add
	closed      bool
	running     sync.WaitGroup // handlers that [Simulator.Transport] has started

	mu        sync.Mutex // guards all below
	rotation  Rotation
	lifetimes Lifetimes
	// orders sign-ins and changes of a user's state, where a test's clock stands still
	sequence      int64
	tenants       []*Tenant
	resources     []*Resource
	apps          map[string]*App         // by client id, in lower case
	appKeys       map[string]*keyRing     // by client id: of apps with OwnSigningKey
	users         map[string]*userRecord  // by username, in lower case
	consents      map[consentKey]nameSet  // what a user has agreed to
	flows         map[string]*signInFlow  // by id: sign-in pages that are open
	sessions      map[string]session      // by session cookie
	codes         map[string]*authCode    // by code
	devices       map[string]*deviceGrant // by device code
	refreshTokens map[tokenHash]*refreshToken
	families      []*tokenFamily
	accessTokens  map[tokenHash]*AccessToken
	sweepAt       int // the number of access tokens at which expired ones are dropped
}

// New returns a simulator that is not listening anywhere. Most tests want [Start].
func New(opts Options) *Simulator {
	s := &Simulator{
		Faults:         newFaultScript(),
		now:            opts.Now,
		logSecrets:     opts.LogSecrets,
		deviceInterval: opts.DeviceInterval,
		keys:           newKeyRing(),
		log:            newRequestLog(),
		closing:        make(chan struct{}),
		rotation:       opts.Rotation,
		lifetimes:      opts.Lifetimes,
		tenants:        builtInTenants(),
		resources:      builtInResources(),
		apps:           make(map[string]*App),
		appKeys:        make(map[string]*keyRing),
		users:          make(map[string]*userRecord),
		consents:       make(map[consentKey]nameSet),
		flows:          make(map[string]*signInFlow),
		sessions:       make(map[string]session),
		codes:          make(map[string]*authCode),
		devices:        make(map[string]*deviceGrant),
		refreshTokens:  make(map[tokenHash]*refreshToken),
		accessTokens:   make(map[tokenHash]*AccessToken),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.deviceInterval == 0 {
		s.deviceInterval = 5 * time.Second
	}
	for _, name := range opts.AssertionAlgs {
		s.assertionAlgs = append(s.assertionAlgs, jose.SignatureAlgorithm(name))
	}
	if s.rotation == "" {
		s.rotation = RotateKeepOld
	}
	if !opts.NoUsers {
		for _, u := range builtInUsers() {
			s.users[userKey(u.Username)] = &userRecord{User: u}
		}
	}
	s.control = s.newControl()
	s.App, s.PublicApp = builtInApps(opts.RedirectURIs)
	for _, app := range []App{s.App, s.PublicApp} {
		s.apps[appKey(app.ClientID)] = app.clone()
	}
	return s
}

// Close ends requests that a fault holds, and returns when none that came in by
// [Simulator.Transport] is running. The simulator is of no use afterwards.
func (s *Simulator) Close() {
	s.transportMu.Lock()
	s.closed = true
	s.transportMu.Unlock()
	s.closeOnce.Do(func() { close(s.closing) })
	s.running.Wait()
}

// Tenant returns the id (a GUID) of the tenant where the built-in users and apps live.
func (s *Simulator) Tenant() string { return ContosoTenantID }

// SetRotation changes the rotation policy from the next refresh on.
func (s *Simulator) SetRotation(r Rotation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rotation = r
}

// SetLifetimes replaces all lifetimes, for what is issued from now on.
func (s *Simulator) SetLifetimes(l Lifetimes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lifetimes = l
}

// RotateKeys makes a new key sign ID tokens from now on. The old key stays in
// the JWKS, as Entra leaves it there for a while.
func (s *Simulator) RotateKeys() { s.keys.rotate(true) }

// ReplaceKeys makes a new key sign ID tokens and drops the old ones from the
// JWKS at once.
func (s *Simulator) ReplaceKeys() { s.keys.rotate(false) }

// ServeHTTP implements [http.Handler].
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.route(w, r)
}
