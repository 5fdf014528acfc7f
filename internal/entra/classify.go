// SPDX-License-Identifier: MPL-2.0

package entra

import "net/http"

// Class says whose fault an error is, and so what must be done about it. The words are stored and
// shown: they do not change.
type Class string

const (
	ClassUser Class = "user" // the grant is at its end: a person must sign in again
	// a person must consent or prove something for the one resource that was asked for
	ClassResource Class = "user_resource"
	ClassBlocked  Class = "blocked" // policy or directory says no: an administrator must act
	// the app registration or its credential is refused: no user is to blame
	ClassClient    Class = "client"
	ClassTransient Class = "transient" // nothing is known to be wrong: ask again later
	ClassRequest   Class = "request"   // what was asked for does not exist or does not fit
	// this one sign-in failed; nothing that is stored is affected
	ClassSignIn  Class = "sign_in"
	ClassPending Class = "pending" // a device code that the person has not entered yet
)

// clearErrors are the values of `error` that say all there is to know. Microsoft asks clients to go
// by them and not by the AADSTS numbers ("Microsoft identity platform error codes").
var clearErrors = map[string]Class{
	"invalid_client":          ClassClient,
	"unauthorized_client":     ClassClient,
	"invalid_tenant":          ClassClient,
	"temporarily_unavailable": ClassTransient,
	"server_error":            ClassTransient,
	"invalid_scope":           ClassRequest,
	"invalid_resource":        ClassRequest,
	"authorization_pending":   ClassPending,
	"slow_down":               ClassPending,
	"authorization_declined":  ClassSignIn, // RFC 8628's access_denied, in Entra's words
	"expired_token":           ClassSignIn,
	"bad_verification_code":   ClassSignIn,
	// RFC 6749 section 4.1.2.1: the code flow is off for this client
	"unsupported_response_type": ClassClient,
}

// suberrors say what an invalid_grant or interaction_required is about.
var suberrors = map[string]Class{
	"bad_token":                    ClassUser,
	"token_expired":                ClassUser,
	"user_password_expired":        ClassUser,
	"client_mismatch":              ClassUser, // the refresh token is another client's
	"consent_required":             ClassResource,
	"basic_action":                 ClassResource,
	"additional_action":            ClassResource,
	"message_only":                 ClassBlocked,
	"protection_policy_required":   ClassBlocked,
	"device_authentication_failed": ClassBlocked,
	"cancel":                       ClassSignIn,
}

// vagueErrors are the values of `error` behind which anything can stand: the class holds where
// suberror and number say nothing.
var vagueErrors = map[string]Class{
	"invalid_grant":              ClassUser,
	"login_required":             ClassUser,
	"account_selection_required": ClassUser,
	"interaction_required":       ClassResource,
	"consent_required":           ClassResource,
	"access_denied":              ClassBlocked,
	"invalid_request":            ClassRequest,
}

// misleading are the numbers that count more than the `error` they come with: 50196 (the client
// loops) says invalid_grant, and whoever believes it throws a good refresh token away. The users of
// 50057 and 50034 cannot sign in again either.
var misleading = map[int]Class{
	50196: ClassTransient,
	90033: ClassTransient,
	90006: ClassTransient,
	90012: ClassTransient,
	90024: ClassTransient,
	50033: ClassTransient,
	50087: ClassTransient,
	90055: ClassTransient,
	50057: ClassBlocked,
	50034: ClassBlocked,
}

// numbers explain a vague error. They are Microsoft's "AADSTS error codes" as far as they reach a
// client.
var numbers = map[int]Class{
	// Sign in again.
	700082: ClassUser, 70008: ClassUser, 700084: ClassUser, 50173: ClassUser, 70000: ClassUser,
	50089: ClassUser, 50132: ClassUser, 50133: ClassUser, 70043: ClassUser, 50055: ClassUser,
	50058: ClassUser,
	// Sign in again for this resource: MFA, an external challenge, consent.
	50076: ClassResource, 50074: ClassResource, 50078: ClassResource, 50079: ClassResource,
	50072: ClassResource,
	50158: ClassResource, 65001: ClassResource,
	// An administrator must act.
	53003: ClassBlocked, 53000: ClassBlocked, 53001: ClassBlocked, 530032: ClassBlocked,
	50097: ClassBlocked,
	50005: ClassBlocked, 50105: ClassBlocked, 65004: ClassBlocked, 90094: ClassBlocked,
	90095: ClassBlocked,
	// The app registration, its credential, its tenant, its cloud.
	7000215: ClassClient, 7000222: ClassClient, 7000218: ClassClient, 700025: ClassClient,
	700027: ClassClient,
	700024: ClassClient, 700016: ClassClient, 7000112: ClassClient, 90002: ClassClient,
	50194: ClassClient, 90038: ClassClient, 900439: ClassClient,
	// The scopes.
	500011: ClassRequest, 650057: ClassRequest, 70011: ClassRequest, 28002: ClassRequest,
	28003: ClassRequest, 700022: ClassRequest,
	// The code: used before, or with another verifier. Only a new login helps, and no account is
	// affected.
	54005: ClassSignIn, 501481: ClassSignIn,
	70016: ClassPending,
}

// classify puts the OAuth error of an answer into its class: by status where that is the whole
// story, by the numbers that are known to come with a misleading error, by error, by suberror, and
// by the other numbers where error is vague.
func classify(code, suberror string, number, status int) Class {
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return ClassTransient
	}
	if class, found := misleading[number]; found {
		return class
	}
	if class, found := clearErrors[code]; found {
		return class
	}
	if class, found := suberrors[suberror]; found {
		return class
	}
	if class, found := numbers[number]; found {
		return class
	}
	if class, found := vagueErrors[code]; found {
		return class
	}
	if status == http.StatusUnauthorized { // RFC 6749 section 5.2: client authentication failed
		return ClassClient
	}
	return ClassRequest
}

// classifyAuthorize does the same for an error redirect, where a bare access_denied is a person who
// pressed Cancel.
func classifyAuthorize(code, suberror string, number int) Class {
	if code == "" {
		return ClassSignIn
	}
	explained := misleading[number] != "" || numbers[number] != "" || suberrors[suberror] != ""
	if code == "access_denied" && !explained {
		return ClassSignIn
	}
	return classify(code, suberror, number, 0)
}
