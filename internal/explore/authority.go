// SPDX-License-Identifier: MPL-2.0

package explore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	tenant = "11111111-2222-3333-4444-555555555555"
	issuer = "https://login.microsoftonline.com/" + tenant + "/v2.0"
)

// The rotation policies of the authority.
const (
	keepOld      = "keep old"
	refuseOld    = "refuse old"
	revokeFamily = "revoke family"
)

// The states of the authority's weather.
const (
	calm      = ""
	refuses   = "refuses with 503"
	hangs     = "hangs"
	throttles = "throttles" // with Retry-After
	drops     = "drops"     // the answer, after processing
	badClient = "refuses the client"
)

// authority is Entra ID as far as a history needs it, and its books. Its fields are guarded by
// world.mu.
type authority struct {
	w        *world
	rotation string
	life     time.Duration // of access tokens

	weather    string
	retryAfter time.Duration
	until      time.Duration // of the weather
	pausedTo   time.Duration // no client that was told Retry-After comes before

	secret    string
	blocked   map[string]bool // users whom a policy refuses: 53003
	noConsent map[string]bool // user and scopes: 65001

	families []*family
	refresh  map[string]*refreshToken
	access   map[string]*accessToken
	codes    map[string]*code
	sent     []*exchange // under way

	calls          int // that were ever made
	background     []backgroundCall
	clientRefusals []clientRefusal // that arrived
	refusedClients int             // how many there were
}

// family is all that came from one sign-in.
type family struct {
	number   int
	user     string
	client   string
	begun    *run // the operation that the sign-in belongs to an account by
	ended    *run // the one that stored it
	sequence int
	lastUsed time.Duration
	strict   bool // its refresh tokens work once

	revoked bool   // by an administrator, or by the policy
	excused string // why it may be lost
	person  bool   // somebody has to sign in again: Entra has said so
	refused map[string]time.Duration
	worked  map[string]bool // scopes that tokens were given for
}

// refreshToken is one of a family.
type refreshToken struct {
	text      string
	family    *family
	used      bool
	successor *refreshToken
	given     *instance // that the answer with it reached; nil: it was lost
	kept      bool      // an account in storage held it once
}

// accessToken is one that was given out.
type accessToken struct {
	family *family
	scopes string
	expiry time.Duration
}

// code is an authorization code that waits to be redeemed.
type code struct {
	user, client, nonce string
	begun               *run
}

// backgroundCall is a token request that nobody waits for.
type backgroundCall struct {
	at     time.Duration
	family *family
}

// exchange is a token request under way.
type exchange struct {
	by     *instance
	family *family
}

func newAuthority(w *world) *authority {
	return &authority{
		w: w, rotation: w.plan.rotation, life: w.plan.tokenLife, secret: "secret-0",
		blocked: map[string]bool{}, noConsent: map[string]bool{},
		refresh: map[string]*refreshToken{}, access: map[string]*accessToken{},
		codes: map[string]*code{},
	}
}

// mend ends everything that may refuse, but not what was revoked. The caller holds mu.
func (a *authority) mend() {
	a.weather, a.until = calm, 0
	a.blocked, a.noConsent = map[string]bool{}, map[string]bool{}
}

// strict reports whether a refresh token works once.
func (a *authority) strict() bool { return a.rotation != keepOld }

// newFamily is a sign-in of a user to a client, and its first refresh token. The caller
// holds mu.
func (a *authority) newFamily(user, client string, begun *run) (*family, *refreshToken) {
	f := &family{number: len(a.families) + 1, user: user, client: client, begun: begun, strict: a.strict(),
		lastUsed: a.w.now(), refused: map[string]time.Duration{}, worked: map[string]bool{}}
	a.families = append(a.families, f)
	return f, a.next(f)
}

func (a *authority) next(f *family) *refreshToken {
	f.sequence++
	t := &refreshToken{text: fmt.Sprintf("1.refresh-%03d-%04d", f.number, f.sequence), family: f}
	a.refresh[t.text] = t
	return t
}

var refreshTokenText = regexp.MustCompile(`"refresh_token":"([^"]*)"`)

// stored notes that storage holds a refresh token. The caller holds mu.
func (a *authority) stored(entry string) {
	if found := refreshTokenText.FindStringSubmatch(entry); found != nil {
		if t := a.refresh[found[1]]; t != nil {
			t.kept = true
		}
	}
}

// excuse forgives the families whose refresh tokens an instance has, and storage has not. The
// caller holds mu.
func (a *authority) excuse(i *instance) {
	for _, t := range a.refresh {
		if t.given == i && !t.kept {
			t.family.forgive("the instance " + i.name + " ended before storage had its token")
		}
	}
	for _, e := range a.sent {
		if e.by == i {
			e.family.forgive("the instance " + i.name + " ended during its exchange")
		}
	}
}

// forgive lets a family be lost, where a refresh token works once: any other stays good.
func (f *family) forgive(why string) {
	if f != nil && f.strict && f.excused == "" {
		f.excused = why
	}
}

// reply is an HTTP answer in the making.
type reply struct {
	status     int
	body       map[string]any
	retryAfter time.Duration
	token      *refreshToken // that it brings
	family     *family

	clientRefusal int // its number, 0 for any other answer
}

func refusal(status int, word string, aadsts int) *reply {
	text := fmt.Sprintf("AADSTS%d: refused", aadsts)
	body := map[string]any{"error": word, "error_description": text, "error_codes": []int{aadsts}}
	if aadsts == 0 {
		body = map[string]any{"error": word, "error_description": "refused"}
	}
	return &reply{status: status, body: body}
}

// token is the token endpoint. The caller holds mu.
func (a *authority) token(form url.Values, i *instance, by *run) *reply {
	if a.clientRefused(form) {
		return a.refuseClient()
	}
	if form.Get("grant_type") == "authorization_code" {
		return a.redeem(form, by)
	}
	t := a.refresh[form.Get("refresh_token")]
	if t == nil || t.family.client != form.Get("client_id") {
		return refusal(http.StatusBadRequest, "invalid_grant", a.number(70000))
	}
	f := t.family
	if r := a.refuse(t, form, i); r != nil {
		r.family = f
		return r
	}
	scopes := plainScopes(form.Get("scope"))
	t.used = true
	f.lastUsed = a.w.now()
	f.worked[scopes] = true
	r := a.grant(f, scopes)
	t.successor = r.token
	if f.ended == nil && by != nil && by.kind == "import" {
		f.ended = by
		r.body["id_token"] = a.idToken(f.user, f.client, "")
	}
	return r
}

func (a *authority) clientRefused(form url.Values) bool {
	return a.weather == badClient && a.w.now() < a.until ||
		form.Get("client_secret") != a.secret || !slices.Contains(clients, form.Get("client_id"))
}

// number is an AADSTS number, which only one of the policies speaks in.
func (a *authority) number(aadsts int) int {
	if a.strict() {
		return 0
	}
	return aadsts
}

// refuse is why a refresh token does not work, nil if it does.
func (a *authority) refuse(t *refreshToken, form url.Values, i *instance) *reply {
	f, scopes := t.family, plainScopes(form.Get("scope"))
	switch {
	case f.revoked:
		return a.personNeeded(f, form, 50173)
	case t.used && a.strict():
		a.spentTwice(t, i)
		f.revoked = a.rotation == revokeFamily
		f.person = true
		return refusal(http.StatusBadRequest, "invalid_grant", 0)
	case strings.Contains(form.Get("claims"), "trap"):
		return refusal(http.StatusBadRequest, "invalid_grant", 50173)
	case a.blocked[f.user]:
		f.refused[""] = a.w.now()
		return refusal(http.StatusBadRequest, "invalid_grant", 53003)
	case strings.Contains(scopes, "Bad."):
		return refusal(http.StatusBadRequest, "invalid_scope", 70011)
	case a.noConsent[f.user+" "+scopes]:
		if form.Get("claims") == "" {
			f.refused[scopes] = a.w.now()
		}
		return refusal(http.StatusBadRequest, "invalid_grant", 65001)
	}
	return nil
}

func (a *authority) personNeeded(f *family, form url.Values, aadsts int) *reply {
	if form.Get("claims") == "" {
		f.person = true
	}
	return refusal(http.StatusBadRequest, "invalid_grant", a.number(aadsts))
}

// spentTwice judges a used refresh token that comes again at a strict provider: only where the
// answer to its first use was lost, with the node or on its way, may it.
func (a *authority) spentTwice(t *refreshToken, i *instance) {
	next := t.successor
	switch {
	case i.dead, next == nil, next.given == nil, t.family.excused != "":
		t.family.forgive("its refresh token was spent twice, as it may be")
	default:
		a.w.violated("spent twice: %s of family %d by %s, after %s was given its successor",
			t.text, t.family.number, i.name, next.given.name)
	}
}

// grant gives new tokens.
func (a *authority) grant(f *family, scopes string) *reply {
	next := a.next(f)
	text := fmt.Sprintf("access-%05d", len(a.access)+1)
	a.access[text] = &accessToken{family: f, scopes: scopes, expiry: a.w.now() + a.life}
	return &reply{
		status: http.StatusOK, token: next, family: f,
		body: map[string]any{
			"access_token": text, "token_type": "Bearer", "scope": scopes,
			"expires_in": int(a.life / time.Second), "refresh_token": next.text,
		},
	}
}

// redeem exchanges an authorization code.
func (a *authority) redeem(form url.Values, by *run) *reply {
	c := a.codes[form.Get("code")]
	if c == nil || c.client != form.Get("client_id") {
		return refusal(http.StatusBadRequest, "invalid_grant", 70008)
	}
	if strings.Contains(form.Get("scope"), "Bad.") {
		return refusal(http.StatusBadRequest, "invalid_scope", 70011)
	}
	delete(a.codes, form.Get("code"))
	f, first := a.newFamily(c.user, c.client, c.begun)
	f.ended = by
	first.used = true // it is never handed out
	r := a.grant(f, plainScopes(form.Get("scope")))
	first.successor = r.token
	f.worked[plainScopes(form.Get("scope"))] = true
	r.body["id_token"] = a.idToken(c.user, c.client, c.nonce)
	return r
}

// plainScopes are the scopes asked for without those of every request.
func plainScopes(scope string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(scope), func(s string) bool {
		return slices.Contains([]string{"openid", "profile", "offline_access"}, s)
	}), " ")
}

// signingKey is the one of every authority of this process.
var signingKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

const keyID = "key-1"

// idToken is an ID token for a user.
func (a *authority) idToken(user, client, nonce string) string {
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": issuer, "sub": "sub-" + user, "aud": client, "tid": tenant, "oid": "oid-" + user,
		"preferred_username": user + "@example.com", "name": user, "iat": now, "exp": now + 3600,
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := encode(map[string]string{"alg": "ES256", "kid": keyID}) + "." + encode(claims)
	hash := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, signingKey(), hash[:])
	if err != nil {
		panic(err)
	}
	signature := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// keySet is the document that the signing key is published in.
func keySet() map[string]any {
	public, err := signingKey().PublicKey.ECDH()
	if err != nil {
		panic(err) // not for a key on P-256
	}
	point := public.Bytes() // 4, X, Y: SEC 1 section 2.3.3
	coordinate := base64.RawURLEncoding.EncodeToString
	return map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "use": "sig", "crv": "P-256", "kid": keyID, "issuer": issuer,
		"x": coordinate(point[1:33]), "y": coordinate(point[33:]),
	}}}
}
