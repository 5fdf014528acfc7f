// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"net/http"
	"strings"
)

// Class says whose fault an error is, and so what must be done about it. The words are stored and
// shown: they do not change.
type Class string

const (
	// ClassUser is a grant at its end: a person must sign in again.
	ClassUser Class = "user"
	// ClassResource is consent or proof that a person must give for the one resource that was
	// asked for.
	ClassResource Class = "user_resource"
	// ClassBlocked is policy or directory saying no: an administrator must act.
	ClassBlocked Class = "blocked"
	// ClassClient is the app registration or its credential refused: no user is to blame.
	ClassClient Class = "client"
	// ClassTransient is nothing known to be wrong: ask again later.
	ClassTransient Class = "transient"
	// ClassRequest is something asked for that does not exist or does not fit.
	ClassRequest Class = "request"
	// ClassSignIn is this one sign-in failed; nothing that is stored is affected.
	ClassSignIn Class = "sign_in"
	// ClassPending is a device code that the person has not entered yet.
	ClassPending Class = "pending"
)

// contradicting are the numbers that count more than the suberror and the `error` they come with.
// 50196 (the client loops) says invalid_grant, and whoever believes it throws a good refresh token
// away. The users of 50057 and 50034 cannot sign in again either. 53005 and 50053 are one user's
// and come as unauthorized_client, the scopes' come as invalid_client.
var contradicting = classes(map[Class][]int{
	ClassTransient: {50196, 90033, 90006, 90012, 90024, 50033, 50087, 90055},
	ClassBlocked:   {50057, 50034, 53005, 50053},
	ClassRequest:   {650051, 650052, 650053, 650054, 650056, 650057, 65005},
	ClassUser:      {700003},
	ClassSignIn:    {65004},
})

// suberrors say what a refusal is about.
var suberrors = map[string]Class{
	"bad_token":                    ClassUser,
	"token_expired":                ClassUser,
	"user_password_expired":        ClassUser,
	"client_mismatch":              ClassUser, // the refresh token is another client's
	"device_authentication_failed": ClassUser, // the device is gone, and a sign-in does without
	"consent_required":             ClassResource,
	"basic_action":                 ClassResource,
	"additional_action":            ClassResource,
	"message_only":                 ClassBlocked,
	"protection_policy_required":   ClassBlocked,
	"cancel":                       ClassSignIn,
}

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

// numbers explain a vague error. They are Microsoft's "Microsoft Entra authentication and
// authorization error codes" as far as they reach a client, and some that it does not list.
var numbers = classes(map[Class][]int{
	// Sign in again. Of 9002313 only invalid_grant says that it was the token.
	ClassUser: {
		700082, 70008, 700084, 50173, 70000, 50089, 50132, 50133, 70043, 50055, 50144, 50135,
		50058, 50085, 50139, 50126,
	},
	// Sign in again for this resource: MFA, an external challenge, consent.
	ClassResource: {
		50076, 50074, 50078, 50079, 50072, 50158, 65001, 700020, 9002341, 90008, 50125, 50140,
	},
	// An administrator must act: policies, devices, guests, cross-tenant access, assignment.
	ClassBlocked: {
		53003, 53000, 53001, 53002, 53004, 53009, 53010, 53011, 530003, 530021, 530032, 530034,
		530035, 50097, 50005, 50129, 50131, 50155, 50187, 50105, 501051, 50020, 50014, 16000,
		500021, 500022, 500208, 500212, 500213, 500341, 500571, 51004, 5000224, 54000, 90072,
		90093, 90094, 90095, 90099,
	},
	// The app registration, its credential, its tenant, its cloud.
	ClassClient: {
		7000215, 7000222, 7000218, 700025, 700027, 700024, 700021, 700030, 7000229, 700016, 700011,
		7000112, 70001, 70002, 90002, 900023, 50194, 90038, 900439, 900382, 900432, 70021, 700211,
		700212,
		700213, 90061, 9002326, 9002327, 9002331, 9002332, 9001023, 90124, 90130, 50011, 50012,
		50049,
		50059, 50146, 700051, 700054, 1000031,
	},
	// The scopes.
	ClassRequest: {
		500011, 500014, 50001, 70011, 28000, 28002, 28003, 28004, 700022,
		90009, 501461,
	},
	// The code: used before, expired, or with another verifier. Only a new login helps, and no
	// account is affected.
	ClassSignIn:  {54005, 501481, 50148, 500112, 700005, 70018, 70019, 70020, 7000014, 90120},
	ClassPending: {70016},
})

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

// byPlatform are the numbers that say what kind of redirect URI the grant came from: a credential
// is wanted (Web), refused (Mobile and desktop), or only a browser may redeem (SPA).
var byPlatform = map[int]bool{7000218: true, 700025: true, 9002326: true, 9002327: true}

// byDevice are the numbers that another device mends: a compliant, joined or registered one.
var byDevice = map[int]bool{53000: true, 53001: true, 50097: true}

// wrappers are the numbers that stand first in error_codes and say no more than that there is
// another.
var wrappers = map[int]bool{70002: true}

func classes(byClass map[Class][]int) map[int]Class {
	byNumber := make(map[int]Class)
	for class, members := range byClass {
		for _, number := range members {
			byNumber[number] = class
		}
	}
	return byNumber
}

// classify puts the OAuth error of an answer into its class: by status where that is the whole
// story, by the numbers that are known to contradict the rest, by suberror, by error, and by the
// other numbers where error is vague.
func classify(code, suberror string, number, status int) Class {
	if status >= http.StatusInternalServerError || status == http.StatusTooManyRequests {
		return ClassTransient
	}
	if class, found := contradicting[number]; found {
		return class
	}
	if class, found := suberrors[suberror]; found {
		return class
	}
	if class, found := clearErrors[code]; found {
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
// pressed Cancel, and a bare consent_required one who did not agree.
func classifyAuthorize(code, suberror string, number int) Class {
	explained := contradicting[number] != "" || numbers[number] != "" || suberrors[suberror] != ""
	if code == "" || !explained && (code == "access_denied" || code == "consent_required") {
		return ClassSignIn
	}
	return classify(code, suberror, number, 0)
}

// reclassifyScopes is the one place that goes by a text. A personal account's missing consent
// comes with the number, error and no suberror of a bad grant, while its refresh token is good.
func (e *Error) reclassifyScopes() {
	if e.Class == ClassUser && e.AADSTS == 70000 &&
		strings.Contains(strings.ToLower(e.Description), "scopes requested are unauthorized") {
		e.Class = ClassResource
	}
}

// reclassifyRefresh makes of an error at a refresh what it says there: whether a credential is
// wanted is a fact of the grant, which keeps the platform of the redirect URI that it came from.
func (e *Error) reclassifyRefresh() {
	if e.Class == ClassClient && byPlatform[e.AADSTS] {
		e.Class = ClassUser
	}
}

// AboutClient reports whether the app registration or its credential is known to be refused, so
// that no request of this client can succeed: by its number, or by invalid_client or
// unauthorized_client without any number. Other errors of ClassClient may be one user's or one
// grant's.
func (e *Error) AboutClient() bool {
	if e.Class != ClassClient {
		return false
	}
	if e.AADSTS == 0 {
		return e.Code == "invalid_client" || e.Code == "unauthorized_client"
	}
	return numbers[e.AADSTS] == ClassClient && !byPlatform[e.AADSTS]
}

// KnownNumber reports whether Microsoft or recorded traffic names an AADSTS number.
func KnownNumber(aadsts int) bool {
	_, listed := numbers[aadsts]
	_, known := contradicting[aadsts]
	return listed || known
}

// AboutPlatform reports whether the platform is wrong under which the redirect URI of the sign-in
// is registered: AADSTS 7000218, 700025, 9002326, 9002327.
func (e *Error) AboutPlatform() bool { return byPlatform[e.AADSTS] }

// AboutScopes reports whether the scopes asked for are to blame.
func (e *Error) AboutScopes() bool {
	if e.Class != ClassRequest {
		return false
	}
	return e.Code == "invalid_scope" || e.Code == "invalid_resource" ||
		numbers[e.AADSTS] == ClassRequest || contradicting[e.AADSTS] == ClassRequest
}

// AboutDevice reports whether a sign-in from a compliant or registered device would be let in:
// AADSTS 53000, 53001, 50097.
func (e *Error) AboutDevice() bool { return byDevice[e.AADSTS] }
