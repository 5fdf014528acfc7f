// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// User is a person who can sign in. A sign-in needs no password.
type User struct {
	Username string `json:"username"`            // alice@contoso.example
	Name     string `json:"name"`                // display name
	ObjectID string `json:"object_id,omitempty"` // default: derived from the username
	// home tenant; default: the tenant of the username's domain
	TenantID string `json:"tenant_id,omitempty"`
	Admin    bool   `json:"admin,omitempty"` // may consent to what needs an administrator

	// HomeTenantID makes the user a guest in TenantID whose own tenant is this one.
	HomeTenantID string `json:"home_tenant_id,omitempty"`
}

// UserState is a condition that Entra puts on a user's tokens.
type UserState string

// The states a user can be in. Those marked with (sign-in) refuse what was
// issued before the state was set and are over with the next sign-in; the
// others last until StateActive is set. StateMFAByClaims is a policy that looks at where a request
// comes from: a sign-in from a place that needs no second factor does not satisfy it, unless the
// authorization request carries the challenge's claims.
const (
	StateActive          UserState = "active"
	StateRevoked         UserState = "revoked"           // 50173 (sign-in)
	StateMFARequired     UserState = "mfa_required"      // 50076 with claims (sign-in)
	StateMFAByClaims     UserState = "mfa_by_claims"     // 50076 with claims, see below
	StatePasswordExpired UserState = "password_expired"  // 50055 (sign-in)
	StateSignInFrequency UserState = "sign_in_frequency" // 70043 (sign-in)
	StateBlocked         UserState = "blocked"           // 53003, by a policy
	StateDisabled        UserState = "disabled"          // 50057
	StateDeleted         UserState = "deleted"           // 50034
)

var stateErrors = map[UserState]int{
	StateRevoked:         50173,
	StateMFARequired:     50076,
	StateMFAByClaims:     50076,
	StatePasswordExpired: 50055,
	StateSignInFrequency: 70043,
	StateBlocked:         53003,
	StateDisabled:        50057,
	StateDeleted:         50034,
}

func (st UserState) endsWithSignIn() bool {
	switch st {
	case StateRevoked, StateMFARequired, StatePasswordExpired, StateSignInFrequency:
		return true
	}
	return false
}

type userRecord struct {
	User
	states     map[string]stateSince // by resource app id; "" for every resource
	challenged map[int64]bool        // sign-ins that answered the claims challenge
}

// answersChallenge reports whether a request's claims hold what mfaClaims asks for.
func answersChallenge(claims string) bool {
	var request struct {
		AccessToken struct {
			Policies struct {
				Values []string `json:"values"`
			} `json:"capolids"`
		} `json:"access_token"`
	}
	return json.Unmarshal([]byte(claims), &request) == nil &&
		slices.Contains(request.AccessToken.Policies.Values, mfaPolicy)
}

type stateSince struct {
	state    UserState
	sequence int64
}

func builtInUsers() []User {
	user := func(username, name, tenant string, admin bool) User {
		return User{Username: username, Name: name, ObjectID: namedGUID("user:" + username),
			TenantID: tenant, Admin: admin}
	}
	return []User{
		user("alice@contoso.example", "Alice Ahlgren", ContosoTenantID, false),
		user("bob@contoso.example", "Bob Bergman", ContosoTenantID, false),
		user("carol@contoso.example", "Carol Céline", ContosoTenantID, false),
		user("admin@contoso.example", "Ada Admin", ContosoTenantID, true),
		user("mallory@fabrikam.example", "Mallory Moreau", FabrikamTenantID, false),
		user("pat@outlook.example", "Pat Personal", PersonalTenantID, false),
	}
}

func userKey(username string) string { return strings.ToLower(strings.TrimSpace(username)) }

// AddUser adds a user, or replaces the one with the same username. The tenant
// is that of the username's domain unless u says otherwise.
func (s *Simulator) AddUser(u User) (User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	local, domain, ok := strings.Cut(u.Username, "@")
	if !ok || local == "" {
		return User{}, fmt.Errorf("username %q is not of the form name@domain", u.Username)
	}
	if u.TenantID == "" {
		tenant := s.tenantNamed(domain)
		if tenant == nil {
			return User{}, fmt.Errorf("no tenant has verified the domain %q", domain)
		}
		u.TenantID = tenant.ID
	}
	if s.tenantNamed(u.TenantID) == nil {
		return User{}, fmt.Errorf("no tenant %q", u.TenantID)
	}
	if u.ObjectID == "" {
		u.ObjectID = namedGUID("user:" + userKey(u.Username))
	}
	if u.Name == "" {
		u.Name = local
	}
	s.users[userKey(u.Username)] = &userRecord{User: u}
	return u, nil
}

// User returns a user by username; "alice" is short for "alice@contoso.example".
func (s *Simulator) User(username string) (User, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.userNamed(username); u != nil {
		return u.User, true
	}
	return User{}, false
}

// Users returns all users, sorted by username.
func (s *Simulator) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	users := make([]User, 0, len(s.users))
	for _, u := range s.users {
		users = append(users, u.User)
	}
	sort.Slice(users, func(i, j int) bool { return users[i].Username < users[j].Username })
	return users
}

// userNamed finds a user; a name without a domain is of the first tenant.
// s.mu must be held.
func (s *Simulator) userNamed(username string) *userRecord {
	key := userKey(username)
	if !strings.Contains(key, "@") {
		key += "@" + s.tenants[0].Domains[0]
	}
	return s.users[key]
}

// SetUserState puts a user into a state, for every resource.
func (s *Simulator) SetUserState(username string, state UserState) error {
	return s.SetUserStateFor(username, "", state)
}

// SetUserStateFor puts a user into a state for one resource (its identifier
// URI, such as https://management.azure.com) and leaves other resources alone.
// An empty resource means all of them, and StateActive then clears every state.
func (s *Simulator) SetUserStateFor(username, resource string, state UserState) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.userNamed(username)
	if u == nil {
		return fmt.Errorf("no user %q", username)
	}
	if _, ok := stateErrors[state]; !ok && state != StateActive {
		return fmt.Errorf("no user state %q", state)
	}
	key := ""
	if resource != "" {
		r := s.resourceNamed(resource)
		if r == nil {
			return fmt.Errorf("no resource %q", resource)
		}
		key = r.AppID
	}
	if state == StateActive {
		if key == "" {
			u.states = nil
		}
		delete(u.states, key)
		return nil
	}
	if u.states == nil {
		u.states = make(map[string]stateSince)
	}
	s.sequence++
	u.states[key] = stateSince{state: state, sequence: s.sequence}
	return nil
}

// Revoke ends every session and refresh token a user has, as "revoke sessions"
// does: AADSTS50173 until the next sign-in.
func (s *Simulator) Revoke(username string) error {
	return s.SetUserState(username, StateRevoked)
}

// satisfies reports whether a sign-in after a state was set ends it.
func (u *userRecord) satisfies(state UserState, sequence int64) bool {
	return state.endsWithSignIn() || state == StateMFAByClaims && u.challenged[sequence]
}

// lockedOut is the error for signing in at all, or nil: a sign-in of now meets every demand that
// a sign-in can meet. s.mu must be held.
func (u *userRecord) lockedOut() *entraError {
	since, ok := u.states[""]
	if !ok || since.state.endsWithSignIn() || since.state == StateMFAByClaims {
		return nil
	}
	return aadsts(stateErrors[since.state], "")
}

// refusal is the error for using what was issued at sequence for a resource,
// or nil. s.mu must be held.
func (u *userRecord) refusal(sequence int64, resource *Resource) *entraError {
	keys := []string{""}
	if resource != nil {
		keys = append(keys, resource.AppID)
	}
	for _, key := range keys {
		since, ok := u.states[key]
		if !ok || sequence > since.sequence && u.satisfies(since.state, sequence) {
			continue
		}
		return aadsts(stateErrors[since.state], "")
	}
	return nil
}
