// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"fmt"
	"net/http"
	"time"
)

// entraError is a refusal as Entra words it.
type entraError struct {
	Code     int    // AADSTS number; 0 for a provider that has none
	Err      string // OAuth "error"
	Suberror string
	Status   int // of the token endpoint
	Text     string
	Claims   string // claims challenge, JSON
	Page     bool   // at the authorize endpoint: shown on Entra's own page, never redirected
	Subcode  string // error_subcode of an authorize redirect
}

func (e *entraError) Error() string {
	if e.Code == 0 {
		return e.Err + ": " + e.Text
	}
	return fmt.Sprintf("AADSTS%d: %s", e.Code, e.Text)
}

// mfaClaims is the claims challenge of a conditional access policy.
const (
	mfaPolicy = "1f0b9a3e-5f7d-4a9c-8d2a-0c3b9a6f1e55"
	mfaClaims = `{"access_token":{"capolids":{"essential":true,"values":["` + mfaPolicy + `"]}}}`
)

// knownErrors gives error, suberror, status (400 unless said) and text per
// AADSTS number (learn.microsoft.com, "Microsoft Entra authentication and
// authorization error codes"; the error values from recorded answers: v2 says invalid_grant where
// v1 said interaction_required).
var knownErrors = map[int]entraError{
	28000: {
		Err: "invalid_scope",
		Text: "Provided value for the input parameter scope is not valid because it contains " +
			"more than one resource.",
	},
	28002: {
		Err: "invalid_scope",
		Text: "Provided value for the input parameter scope is not valid when requesting an " +
			"access token. Please specify a valid scope.",
	},
	28003: {
		Err: "invalid_request",
		Text: "Provided value for the input parameter scope cannot be empty when requesting an " +
			"access token using the provided authorization code. Please specify a valid scope.",
	},
	50005: {
		Err:      "invalid_grant",
		Suberror: "message_only",
		Text: "User tried to log in to a device from a platform that's currently not " +
			"supported through Conditional Access policy.",
	},
	50011: {
		Err: "invalid_request",
		Text: "The redirect URI specified in the request does not match the redirect URIs " +
			"configured for the application.",
	},
	50020: {
		Err: "invalid_grant",
		Text: "User account from another identity provider does not exist in the tenant and " +
			"cannot access the application.",
	},
	50033: {Err: "server_error", Status: http.StatusServiceUnavailable,
		Text: "A transient error occurred. Please try again."},
	50034: {
		Err: "invalid_grant",
		Text: "The user account does not exist in the directory. To sign into this " +
			"application, the account must be added to the directory.",
	},
	50049: {Err: "invalid_instance", Text: "Unknown or invalid instance."},
	50053: {
		Err: "invalid_grant",
		Text: "The account is locked, you've tried to sign in too many times with an incorrect " +
			"user ID or password.",
	},
	50055: {Err: "invalid_grant", Suberror: "user_password_expired",
		Text: "The password is expired."},
	50057: {Err: "invalid_grant", Text: "The user account is disabled."},
	50058: {Err: "login_required",
		Text: "Session information is not sufficient for single-sign-on."},
	50072: {
		Err:      "invalid_grant",
		Suberror: "basic_action",
		Claims:   mfaClaims,
		Text: "Due to a configuration change made by your administrator, or because you " +
			"moved to a new location, you must enroll in multi-factor authentication.",
	},
	50074: {Err: "invalid_grant", Suberror: "basic_action", Claims: mfaClaims,
		Text: "Strong Authentication is required."},
	50076: {
		Err:      "invalid_grant",
		Suberror: "basic_action",
		Claims:   mfaClaims,
		Text: "Due to a configuration change made by your administrator, or because you " +
			"moved to a new location, you must use multi-factor authentication to access the " +
			"resource.",
	},
	50078: {
		Err:      "invalid_grant",
		Suberror: "basic_action",
		Claims:   mfaClaims,
		Text: "Presented multi-factor authentication has expired due to policies " +
			"configured by your administrator, you must refresh your multi-factor " +
			"authentication to access the resource.",
	},
	50079: {
		Err:      "invalid_grant",
		Suberror: "basic_action",
		Claims:   mfaClaims,
		Text: "Due to a configuration change made by your administrator, you must enroll " +
			"in multi-factor authentication to access the resource.",
	},
	50087: {Err: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
		Text: "A transient error has occurred. Please try again."},
	50089: {Err: "invalid_grant", Suberror: "bad_token",
		Text: "Authentication failed due to flow token expired."},
	50097: {Err: "invalid_grant", Suberror: "message_only",
		Text: "Device authentication is required."},
	50105: {Err: "access_denied",
		Text: "The signed in user is not assigned to a role for the application."},
	50132: {Err: "invalid_grant", Suberror: "bad_token",
		Text: "The session is not valid due to password expiration or recent password change."},
	50133: {Err: "invalid_grant", Suberror: "bad_token",
		Text: "Session is invalid due to expiration or recent password change."},
	50147: {Err: "invalid_request", Text: "Missing code_challenge parameter."},
	50148: {
		Err: "invalid_grant",
		Text: "The code_verifier does not match the code_challenge supplied in the " +
			"authorization request for PKCE.",
	},
	50149: {Err: "invalid_request", Text: "Invalid Code_Challenge_method parameter."},
	50158: {Err: "invalid_grant", Suberror: "basic_action", Claims: mfaClaims,
		Text: "External security challenge was not satisfied."},
	50173: {
		Err:      "invalid_grant",
		Suberror: "bad_token",
		Text: "The provided grant has expired due to it being revoked, a fresh auth token " +
			"is needed. The user might have changed or reset their password.",
	},
	50194: {Err: "invalid_request",
		Text: "Application is not configured as a multi-tenant application."},
	50196: {
		Err: "invalid_grant",
		Text: "The server terminated an operation because it encountered a client request " +
			"loop. Please contact your app vendor.",
	},
	53000: {Err: "invalid_grant", Suberror: "message_only",
		Text: "Device is not in required device state."},
	53001: {Err: "invalid_grant", Suberror: "message_only",
		Text: "Device is not in required device state: domain_joined."},
	53003: {
		Err:      "invalid_grant",
		Suberror: "message_only",
		Text: "Access has been blocked by Conditional Access policies. The access policy " +
			"does not allow token issuance.",
	},
	54005: {
		Err: "invalid_grant",
		Text: "OAuth2 Authorization code was already redeemed, please retry with a new valid " +
			"code or use an existing refresh token.",
	},
	65001: {
		Err:      "invalid_grant",
		Suberror: "consent_required",
		Text: "The user or administrator has not consented to use the application. Send an " +
			"interactive authorization request for this user and resource.",
	},
	65004: {Err: "access_denied",
		Text: "User declined to consent to access the app."},
	70000: {Err: "invalid_grant", Suberror: "bad_token",
		Text: "Provided grant is invalid or malformed."},
	70003: {Err: "unsupported_grant_type", Text: "The app requested an unsupported grant type."},
	70007: {Err: "unsupported_response_mode",
		Text: "The provided value for the input parameter 'response_mode' is not allowed."},
	70008: {
		Err:      "invalid_grant",
		Suberror: "bad_token",
		Text: "The provided authorization code or refresh token has expired due to " +
			"inactivity. Send a new interactive authorization request for this user and resource.",
	},
	70011: {
		Err: "invalid_scope",
		Text: "The provided request must include a 'scope' input parameter. The provided value " +
			"for the input parameter 'scope' is not valid.",
	},
	70016: {Err: "authorization_pending",
		Text: "OAuth 2.0 device flow error. Authorization is pending. Continue polling."},
	70018: {
		Err: "bad_verification_code",
		Text: "Invalid verification code due to User typing in wrong user code for device code " +
			"flow.",
	},
	70020: {
		Err: "expired_token",
		Text: "The provided value for the input parameter 'device_code' is not valid. This " +
			"device code has expired.",
	},
	70043: {
		Err:      "invalid_grant",
		Suberror: "token_expired",
		Text: "The refresh token has expired or is invalid due to sign-in frequency checks " +
			"by conditional access.",
	},
	90002: {Err: "invalid_tenant", Text: "Tenant not found."},
	90006: {Err: "server_error", Status: http.StatusServiceUnavailable,
		Text: "The service is temporarily unavailable. Please retry later."},
	90009: {
		Err: "invalid_request",
		Text: "Application is requesting a token for itself. This scenario is supported only " +
			"if resource is specified using the GUID based App Identifier.",
	},
	90012: {Err: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
		Text: "The request has timed out."},
	90023: {Err: "invalid_request", Text: "The authentication service request isn't valid."},
	90024: {Err: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
		Text: "The request budget was exceeded. A transient error has occurred."},
	90033: {Err: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
		Text: "A transient error has occurred. Please try again."},
	90038: {Err: "invalid_request",
		Text: "The tenant named in the request belongs to another cloud."},
	90055: {Err: "temporarily_unavailable", Status: http.StatusServiceUnavailable,
		Text: "Too many requests to the tenant: the server terminated the request."},
	90094: {
		Err: "access_denied",
		Text: "An administrator of the tenant has set a policy that prevents you from granting " +
			"the application the permissions it is requesting. Admin consent is required.",
	},
	90095: {Err: "access_denied",
		Text: "Admin consent is required; the user sent a request for it."},
	500011: {Err: "invalid_resource", Text: "The resource principal was not found in the tenant."},
	500112: {
		Err: "invalid_grant",
		Text: "The reply address does not match the reply address provided when requesting " +
			"Authorization code.",
	},
	501481: {
		Err: "invalid_grant",
		Text: "The Code_Verifier does not match the code_challenge supplied in the " +
			"authorization request.",
	},
	501491: {Err: "invalid_request", Text: "Invalid size of Code_Challenge parameter."},
	530032: {Err: "invalid_grant", Suberror: "message_only", Text: "Blocked by security policy."},
	650053: {
		Err: "invalid_client",
		Text: "The application asked for a scope that doesn't exist on the resource. Contact " +
			"the app vendor.",
	},
	650057: {
		Err: "invalid_resource",
		Text: "Invalid resource. The client has requested access to a resource which is not " +
			"listed in the requested permissions in the client's application registration.",
	},
	700016: {Err: "unauthorized_client", Text: "Application was not found in the directory."},
	700021: {Err: "invalid_client", Status: http.StatusUnauthorized,
		Text: "Client assertion application identifier doesn't match 'client_id' parameter."},
	700022: {
		Err: "invalid_scope",
		Text: "Provided value for the input parameter scope is not valid because it contains " +
			"more than one resource.",
	},
	700023: {Err: "invalid_client", Status: http.StatusUnauthorized,
		Text: "Client assertion audience claim does not match Realm issuer."},
	700024: {Err: "invalid_client", Status: http.StatusUnauthorized,
		Text: "Client assertion is not within its valid time range."},
	700025: {
		Err:    "invalid_client",
		Status: http.StatusUnauthorized,
		Text: "Client is public so neither 'client_assertion' nor 'client_secret' should be " +
			"presented.",
	},
	700027: {
		Err:    "invalid_client",
		Status: http.StatusUnauthorized,
		Text: "The certificate with identifier used to sign the client assertion is not " +
			"registered on application, or the signature is not valid.",
	},
	700051: {Err: "unsupported_response_type",
		Text: "The response_type is not enabled for the application."},
	700082: {Err: "invalid_grant", Suberror: "bad_token",
		Text: "The refresh token has expired due to inactivity."},
	700084: {
		Err:      "invalid_grant",
		Suberror: "bad_token",
		Text: "The refresh token was issued to a single page app (SPA), and therefore has " +
			"a fixed, limited lifetime of 1.00:00:00, which can't be extended.",
	},
	900144: {Err: "invalid_request", Text: "The request body must contain a required parameter."},
	900439: {Err: "invalid_request", Text: "The authority of the request is of another cloud."},
	900561: {Err: "invalid_request",
		Text: "The endpoint only accepts POST requests. Received a GET request."},
	900971:  {Err: "invalid_request", Text: "No reply address provided."},
	7000112: {Err: "unauthorized_client", Text: "The application is disabled."},
	7000215: {
		Err:    "invalid_client",
		Status: http.StatusUnauthorized,
		Text: "Invalid client secret provided. Ensure the secret being sent in the request " +
			"is the client secret value, not the client secret ID.",
	},
	7000218: {
		Err:    "invalid_client",
		Status: http.StatusUnauthorized,
		Text: "The request body must contain the following parameter: 'client_assertion' or " +
			"'client_secret'.",
	},
	7000222: {
		Err:    "invalid_client",
		Status: http.StatusUnauthorized,
		Text: "The provided client secret keys are expired. Visit the Azure portal to create " +
			"new keys for your app.",
	},
	9000411: {Err: "invalid_request",
		Text: "The request is not properly formatted. A parameter is duplicated."},
	9002313: {Err: "invalid_request", Text: "Invalid request. Request is malformed or invalid."},
	9002325: {
		Err: "invalid_request",
		Text: "Proof Key for Code Exchange is required for cross-origin authorization code " +
			"redemption.",
	},
	9002326: {
		Err: "invalid_request",
		Text: "Cross-origin token redemption is permitted only for the 'Single-Page " +
			"Application' client-type.",
	},
	9002327: {
		Err: "invalid_request",
		Text: "Tokens issued for the 'Single-Page Application' client-type may only be " +
			"redeemed via cross-origin requests.",
	},
	16000: {
		Err:  "interaction_required",
		Text: "The user account from another identity provider is not in this tenant.",
	},
	28004: {
		Err:  "invalid_scope",
		Text: "The scope parameter names too many scopes.",
	},
	50126: {Err: "invalid_grant", Text: "Invalid username or password."},
	50155: {Err: "invalid_grant", Text: "Device authentication failed for this user."},
	51004: {Err: "invalid_grant", Text: "The user account is not in the directory."},
	53002: {
		Err:  "invalid_grant",
		Text: "The application is not one that Conditional Access has approved.",
	},
	53004: {
		Err:  "invalid_grant",
		Text: "Proof-up is blocked: suspicious activity.",
	},
	53005: {
		Err: "unauthorized_client", Suberror: "protection_policy_required",
		Text: "The application needs to enforce protection policies.",
	},
	53009: {Err: "invalid_grant", Text: "The application needs protection policies."},
	53010: {Err: "invalid_grant", Text: "Proof-up is blocked: risk."},
	53011: {Err: "invalid_grant", Text: "The user is blocked because of risk on the home tenant."},
	65005: {
		Err:  "invalid_client",
		Text: "The registration does not list access to the resource that was asked for.",
	},
	70002: {
		Err: "invalid_client", Status: http.StatusUnauthorized,
		Text: "Error validating credentials.",
	},
	70021: {
		Err:  "invalid_request",
		Text: "No matching federated identity record found for presented assertion.",
	},
	90061:  {Err: "invalid_request", Text: "Request to an external endpoint failed."},
	500014: {Err: "invalid_resource", Text: "The service principal of the resource is disabled."},
	500212: {Err: "invalid_grant", Text: "Outbound cross-tenant policy does not allow access."},
	500213: {Err: "invalid_grant", Text: "Inbound cross-tenant policy does not allow access."},
	500341: {Err: "invalid_grant", Text: "The user account has been deleted from the directory."},
	500571: {Err: "invalid_grant", Text: "The guest user account is disabled."},
	501051: {Err: "invalid_grant", Text: "The user is not assigned to a role for the application."},
	530003: {Err: "invalid_grant", Text: "The device must be managed to access this resource."},
	530021: {Err: "invalid_grant", Text: "The application is not an approved one."},
	650051: {Err: "invalid_client", Text: "The name of the resource is ambiguous in this tenant."},
	650052: {
		Err:  "invalid_client",
		Text: "The organization has no subscription for the service that was asked for.",
	},
	700003: {
		Err: "invalid_grant", Suberror: "device_authentication_failed",
		Text: "The device object was not found in the tenant.",
	},
	700213: {
		Err: "invalid_client", Status: http.StatusUnauthorized,
		Text: "No matching federated identity record found for the assertion's subject.",
	},
	5000224: {Err: "invalid_grant", Text: "The resource is not available to this user."},
	7000014: {Err: "invalid_grant", Text: "The device code is not valid."},
}

// aadsts returns the error with that number; an empty text means the usual one.
func aadsts(code int, text string) *entraError {
	e, ok := knownErrors[code]
	if !ok {
		e = entraError{Err: "invalid_grant", Text: "An error without a text of its own."}
	}
	e.Code = code
	if e.Status == 0 {
		e.Status = http.StatusBadRequest
	}
	if text != "" {
		e.Text = text
	}
	return &e
}

func missingParameter(name string) *entraError {
	return aadsts(900144,
		fmt.Sprintf("The request body must contain the following parameter: '%s'.", name))
}

// malformedGrant is Entra's answer to a code or token that it cannot read.
func malformedGrant() *entraError {
	e := aadsts(9002313, "")
	e.Err = "invalid_grant"
	return e
}

// otherProviderError is an answer as providers other than Entra give it, with
// no AADSTS number (RFC 6749, section 5.2).
func otherProviderError(err, text string) *entraError {
	return &entraError{Err: err, Text: text, Status: http.StatusBadRequest}
}

// errorBody is the JSON of a refusal, in Entra's order.
type errorBody struct {
	Error         string `json:"error"`
	Description   string `json:"error_description"`
	Codes         []int  `json:"error_codes,omitempty"`
	Timestamp     string `json:"timestamp,omitempty"`
	TraceID       string `json:"trace_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	URI           string `json:"error_uri,omitempty"`
	Suberror      string `json:"suberror,omitempty"`
	Claims        string `json:"claims,omitempty"`
}

// body words the error for one request.
func (e *entraError) body(host, traceID, correlationID string, now time.Time) errorBody {
	b := errorBody{Error: e.Err, Description: e.Text, Suberror: e.Suberror, Claims: e.Claims}
	if e.Code == 0 {
		return b
	}
	b.Timestamp = now.UTC().Format("2006-01-02 15:04:05Z")
	b.Description = e.Error() + "\r\nTrace ID: " + traceID + "\r\nCorrelation ID: " +
		correlationID + "\r\nTimestamp: " + b.Timestamp
	b.Codes = []int{e.Code}
	b.TraceID, b.CorrelationID = traceID, correlationID
	b.URI = fmt.Sprintf("https://%s/error?code=%d", host, e.Code)
	return b
}
