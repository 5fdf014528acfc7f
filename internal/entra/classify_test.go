// SPDX-License-Identifier: MPL-2.0

package entra

import "testing"

// TestClassify holds every error that is known of Entra to its class, with each
// `error` it is known to come with.
func TestClassify(t *testing.T) {
	for _, test := range []struct {
		class    Class
		codes    []string
		suberror string
		numbers  []int
		status   int
	}{
		{ClassUser, []string{"invalid_grant"}, "bad_token",
			[]int{700082, 70008, 700084, 50173, 70000, 50089, 50132, 50133, 0}, 400},
		{ClassUser, []string{"invalid_grant"}, "",
			[]int{700082, 70008, 700084, 50173, 70000, 50089, 50132, 50133, 9002313, 0}, 400},
		{ClassUser, []string{"invalid_grant", "interaction_required"}, "token_expired",
			[]int{70043, 0}, 400},
		{ClassUser, []string{"invalid_grant", "interaction_required"}, "", []int{70043}, 400},
		{ClassUser, []string{"invalid_grant"}, "user_password_expired", []int{50055, 0}, 400},
		{ClassUser, []string{"invalid_grant"}, "client_mismatch", []int{0}, 400},
		{ClassUser, []string{"login_required"}, "", []int{50058, 0}, 400},
		{ClassResource, []string{"invalid_grant", "interaction_required"}, "basic_action",
			[]int{50076, 50074, 50078, 50079, 50072, 0}, 400},
		{ClassResource, []string{"invalid_grant", "interaction_required"}, "",
			[]int{50076, 50074, 50078, 50079, 50072, 50158}, 400},
		{ClassResource, []string{"invalid_grant", "interaction_required"}, "additional_action",
			[]int{0}, 400},
		{ClassResource, []string{"invalid_grant", "interaction_required"}, "consent_required",
			[]int{65001, 0}, 400},
		{ClassResource, []string{"invalid_grant"}, "", []int{65001}, 400},
		{ClassResource, []string{"interaction_required", "consent_required"}, "", []int{0}, 400},
		{ClassBlocked, []string{"access_denied", "invalid_grant"}, "",
			[]int{90094, 90095, 50105}, 400},
		{ClassSignIn, []string{"access_denied", "consent_required", "authorization_declined"}, "",
			[]int{65004}, 400},
		{ClassBlocked, []string{"invalid_grant"}, "", []int{50057, 50034}, 400},
		{ClassBlocked, []string{"invalid_grant"}, "bad_token", []int{50057, 50034}, 400},
		{ClassBlocked, []string{"invalid_grant", "interaction_required"}, "message_only",
			[]int{53003, 53000, 53001, 530032, 50097, 50005, 0}, 400},
		{ClassBlocked, []string{"invalid_grant", "interaction_required"}, "",
			[]int{53003, 53000, 53001, 530032, 50097, 50005}, 400},
		{ClassBlocked, []string{"invalid_grant"}, "protection_policy_required", []int{0}, 400},
		{ClassUser, []string{"invalid_grant"}, "device_authentication_failed", []int{700003, 0},
			400},
		{ClassClient, []string{"invalid_client"}, "",
			[]int{7000215, 7000222, 7000218, 700025, 700027, 700024, 0}, 401},
		{ClassClient, []string{"invalid_client"}, "",
			[]int{7000215, 7000222, 7000218, 700025, 700027, 700024, 0}, 400},
		{ClassClient, []string{"unauthorized_client"}, "", []int{700016, 7000112, 0}, 400},
		{ClassClient, []string{"invalid_tenant", "invalid_request"}, "", []int{90002}, 400},
		{ClassClient, []string{"invalid_request"}, "", []int{50194, 90038, 900439}, 400},
		{ClassRequest, []string{"invalid_resource"}, "", []int{500011, 650057, 0}, 400},
		{ClassRequest, []string{"invalid_scope"}, "", []int{70011, 28002, 28003, 700022, 0}, 400},
		{ClassRequest, []string{"invalid_request", "unsupported_grant_type"}, "", []int{0}, 400},
		{ClassSignIn, []string{"invalid_grant"}, "", []int{54005, 501481}, 400},
		{ClassSignIn, []string{"authorization_declined", "expired_token", "bad_verification_code"},
			"", []int{0}, 400},
		{ClassPending, []string{"authorization_pending"}, "", []int{70016, 0}, 400},
		{ClassPending, []string{"slow_down"}, "", []int{0}, 400},
		{ClassTransient, []string{"invalid_grant"}, "", []int{50196}, 400},
		{ClassTransient, []string{"invalid_grant"}, "bad_token", []int{50196}, 400},
		{ClassTransient, []string{"temporarily_unavailable", "server_error", "invalid_grant"}, "",
			[]int{90033, 90006, 90012, 90024, 50033, 50087, 90055}, 400},
		{ClassTransient, []string{"temporarily_unavailable", "server_error"}, "", []int{0}, 400},
		{ClassTransient, []string{"invalid_grant", "invalid_client", "anything"}, "bad_token",
			[]int{50173, 0}, 429},
		{ClassTransient, []string{"invalid_grant", "invalid_client", "anything"}, "bad_token",
			[]int{50173, 0}, 503},
		{ClassClient, []string{"anything"}, "", []int{0}, 401},
	} {
		for _, code := range test.codes {
			for _, number := range test.numbers {
				if got := classify(code, test.suberror, number, test.status); got != test.class {
					t.Errorf("%s (%s) AADSTS%d, HTTP %d is %s, want %s", code, test.suberror,
						number, test.status, got, test.class)
				}
			}
		}
	}
}

// TestClassifyAuthorize checks that at the authorize endpoint a bare access_denied is a
// person who pressed Cancel.
func TestClassifyAuthorize(t *testing.T) {
	for _, test := range []struct {
		code, subcode, description string
		class                      Class
		aadsts                     int
	}{
		{"access_denied", "cancel", "AADSTS65004: User declined to consent to access the app.",
			ClassSignIn, 65004},
		{"access_denied", "", "", ClassSignIn, 0},
		{"access_denied", "", "AADSTS90094: The grant requires admin permission.", ClassBlocked,
			90094},
		{"server_error", "", "AADSTS90006: External server is retryable.", ClassTransient, 90006},
		{"interaction_required", "", "AADSTS50058", ClassUser, 50058},
		{"unauthorized_client", "", "", ClassClient, 0},
		{"", "", "", ClassSignIn, 0},
	} {
		e := AuthorizeError(test.code, test.description, test.subcode)
		if e.Class != test.class || e.AADSTS != test.aadsts || e.Code != test.code {
			t.Errorf("%s %q: %s AADSTS%d, want %s", test.code, test.description, e.Class, e.AADSTS,
				test.class)
		}
	}
}
