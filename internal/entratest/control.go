// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"
)

// The control API lets other processes do what Go tests do by method calls. It
// is JSON over HTTPS under /_simulator/; a POST needs the content type
// application/json, so that no web page can drive it. Durations are strings
// such as "20s". Errors are {"error": "..."} with status 400 or 404.
//
//	GET    state                                     counts, users, apps, policy, lifetimes,
//	                                                 faults, live refresh tokens
//	GET    requests                                  the request log
//	POST   reset          {}                         empties log and counters, removes faults,
//	                                                 sets users active
//	GET    faults                                    the fault script
//	POST   faults         Fault, plus "delay": "2s"  -> {"id": 1}
//	DELETE faults                                    removes all
//	DELETE faults/{id}
//	POST   users          User                       -> User
//	POST   users/state    {"user", "state", "resource"?}
//	POST   revoke         {"user"}                   AADSTS50173 until the next sign-in
//	POST   expire         {"user"}                   ends the refresh tokens: AADSTS700082
//	POST   remove-consent {"user", "client_id", "resource"}
//	POST   admin-consent  {"client_id", "resource"}  what the app has registered, for all users
//	POST   apps           App, plus "access_token_lifetime": "20s"
//	                      -> App; replaces the one with that client_id
//	POST   rotate-keys    {"drop_old": false}
//	POST   policy         {"rotation": "entra" | "refuse-old" | "revoke-family"}
//	POST   lifetimes      {"access_token", "cae_token", "refresh_token", "code", "device_code"}
//	POST   signin         {"auth_url", "user", "action": "signin" | "cancel" | "open"}
//	                      -> {"uri", "method", "params", "url"}, the final redirect, not followed
//	POST   device         {"user_code", "user", "action": "signin" | "cancel"}
//	POST   refresh-token  {"user", "client_id", "platform", "scopes": []}  -> {"refresh_token"}
//	POST   introspect     {"token"}                  -> AccessToken
//
// The field names of Fault, User, App, AccessToken and of the answers are the
// JSON names of the Go types. No answer holds a secret or token but those that
// are asked for by name (apps, refresh-token).
const controlPrefix = "/_simulator/"

// wireDuration is a duration in JSON: a string such as "20s".
type wireDuration time.Duration

func (d *wireDuration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New(`a duration is a string such as "20s"`)
	}
	parsed, err := time.ParseDuration(text)
	if err == nil && parsed < 0 {
		err = errors.New("a duration must not be negative")
	}
	*d = wireDuration(parsed)
	return err
}

// errNotThere makes the control API answer 404.
var errNotThere = errors.New("not there")

// query is a control request that changes nothing, and command one that does.
func query(answer func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		result, err := answer(r)
		answerControl(w, result, err)
	}
}

func command[T any](run func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var input T
		if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
			mediaType != "application/json" {
			answerControl(w, nil, errors.New("the content type must be application/json"))
			return
		}
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&input); err != nil {
			answerControl(w, nil, fmt.Errorf("reading the request: %w", err))
			return
		}
		if decoder.More() {
			answerControl(w, nil, errors.New("reading the request: more than one JSON value"))
			return
		}
		result, err := run(r.Context(), input)
		answerControl(w, result, err)
	}
}

// answerControl writes a result, {} where there is none.
func answerControl(w http.ResponseWriter, result any, err error) {
	status := http.StatusOK
	switch {
	case errors.Is(err, errNotThere):
		status, result = http.StatusNotFound, map[string]string{"error": err.Error()}
	case err != nil:
		status, result = http.StatusBadRequest, map[string]string{"error": err.Error()}
	case result == nil:
		result = struct{}{}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(result) // the client may have gone
}

// newControl routes the control API.
func (s *Simulator) newControl() http.Handler {
	mux := http.NewServeMux()
	handle := func(method, path string, handler http.HandlerFunc) {
		mux.Handle(method+" "+controlPrefix+path, handler)
	}
	handle("GET", "state", query(s.controlState))
	handle("GET", "requests", query(func(*http.Request) (any, error) { return s.Requests(), nil }))
	handle("POST", "reset", command(s.controlReset))
	handle("GET", "faults", query(func(*http.Request) (any, error) { return s.Faults.List(), nil }))
	handle("POST", "faults", command(s.controlAddFault))
	handle("DELETE", "faults",
		query(func(*http.Request) (any, error) { s.Faults.Clear(); return nil, nil }))
	handle("DELETE", "faults/{id}", query(s.controlRemoveFault))
	handle("POST", "users", command(s.controlAddUser))
	handle("POST", "users/state", command(s.controlUserState))
	handle("POST", "revoke", command(s.controlRevoke))
	handle("POST", "expire", command(s.controlExpire))
	handle("POST", "remove-consent", command(s.controlRemoveConsent))
	handle("POST", "admin-consent", command(s.controlAdminConsent))
	handle("POST", "apps", command(s.controlAddApp))
	handle("POST", "rotate-keys", command(s.controlRotateKeys))
	handle("POST", "policy", command(s.controlPolicy))
	handle("POST", "lifetimes", command(s.controlLifetimes))
	handle("POST", "signin", command(s.controlSignIn))
	handle("POST", "device", command(s.controlDevice))
	handle("POST", "refresh-token", command(s.controlRefreshToken))
	handle("POST", "introspect", command(s.controlIntrospect))
	return mux
}
