// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestReason is what stands in brackets behind another message's word, and Error what an
// administrator reads.
func TestReason(t *testing.T) {
	long := strings.Repeat("long ", 100)
	for _, test := range []struct {
		e             Error
		reason, whole string
	}{
		{Error{Code: "invalid_grant", AADSTS: 50173,
			Description: "AADSTS50173: The grant has expired. Sign in again."},
			"AADSTS50173: The grant has expired",
			"AADSTS50173: The grant has expired. Sign in again. (error invalid_grant)"},
		{Error{Code: "invalid_grant", AADSTS: 50173, Description: "The grant has expired."},
			"AADSTS50173: The grant has expired",
			"AADSTS50173: The grant has expired. (error invalid_grant)"},
		{Error{Code: "invalid_grant", AADSTS: 50173, CorrelationID: "c", TraceID: "t"},
			"AADSTS50173", "AADSTS50173 (error invalid_grant, correlation_id c, trace_id t)"},
		{Error{Code: "invalid_grant", Suberror: "bad_token", Description: "Gone."},
			"invalid_grant: Gone", "Gone. (error invalid_grant, suberror bad_token)"},
		{Error{Code: "invalid_grant"}, "invalid_grant", "invalid_grant (error invalid_grant)"},
		{Error{Status: 502}, "HTTP 502", "HTTP 502"},
		{Error{Class: ClassTransient}, "transient", "transient"},
		{Error{Description: "no answer from login.example: refused"},
			"no answer from login.example: refused", "no answer from login.example: refused"},
		{Error{Description: long}, strings.TrimSpace(long[:159]) + "…", long},
	} {
		if got := test.e.Reason(); got != test.reason {
			t.Errorf("reason %q, want %q", got, test.reason)
		}
		if got := test.e.Error(); got != test.whole {
			t.Errorf("error %q, want %q", got, test.whole)
		}
	}
}

// TestRefusalMembers checks that each of Entra's additions may be missing or odd, and the rest
// counts all the same.
func TestRefusalMembers(t *testing.T) {
	for body, want := range map[string]Error{
		`{"error":"invalid_grant","error_codes":[50173,70000]}`:                                                  {Class: ClassUser, AADSTS: 50173},
		`{"error":"invalid_grant","error_codes":["50173"],"error_description":"AADSTS53003: Blocked."}`:          {Class: ClassBlocked, AADSTS: 53003, Description: "AADSTS53003: Blocked."},
		`{"error":"invalid_grant","error_codes":[],"error_description":"AADSTS50076: MFA"}`:                      {Class: ClassResource, AADSTS: 50076, Description: "AADSTS50076: MFA"},
		`{"error":"invalid_grant","error_codes":[-1]}`:                                                           {Class: ClassUser},
		`{"error":"invalid_grant","error_codes":[1e99]}`:                                                         {Class: ClassUser},
		`{"error":"invalid_grant","error_codes":50173}`:                                                          {Class: ClassUser},
		`{"error":"invalid_grant","error_description":"AADSTS9999999999: too long for a number"}`:                {Class: ClassUser, Description: "AADSTS9999999999: too long for a number"},
		`{"error":"invalid_grant","error_description":7,"suberror":["x"],"claims":7}`:                            {Class: ClassUser},
		`{"error":"invalid_grant","claims":{"access_token":{"a":1}}}`:                                            {Class: ClassUser, Claims: `{"access_token":{"a":1}}`},
		`{"error":"invalid_grant","claims":"no JSON"}`:                                                           {Class: ClassUser},
		`{"error":"invalid_grant","claims":"{\"a\":\"the-sent-secret-of-this-request\"}"}`:                       {Class: ClassUser},
		`{"error":"invalid_grant","error_description":"AADSTS70000: x Trace ID: 1 Correlation ID: 2"}`:           {Class: ClassUser, AADSTS: 70000, Description: "AADSTS70000: x"},
		`{"error":"in\u202evalid_grant"}`:                                                                        {Class: ClassRequest, Code: "in valid_grant"},
		`{"error":"the-sent-secret-of-this-request","error_description":"code the-sent-secret-of-this-requ..."}`: {Class: ClassRequest, Code: redacted, Description: "code " + redacted + "..."},
	} {
		a := &answer{host: "login.example", requestID: "sent", status: 400, header: http.Header{},
			body: []byte(body)}
		got := a.refusal(redactor{"the-sent-secret-of-this-request"}, time.Now())
		if want.Code == "" {
			want.Code = "invalid_grant"
		}
		want.Status, want.CorrelationID = 400, "sent"
		if *got != want {
			t.Errorf("%s\n got %+v\nwant %+v", body, *got, want)
		}
	}
}

// TestErrorIsItsCause, for whoever asks with errors.Is.
func TestErrorIsItsCause(t *testing.T) {
	cause := errors.New("the cause")
	if e := (&Error{Class: ClassTransient, Err: cause}); !errors.Is(e, cause) {
		t.Error("the cause is lost")
	}
}

// TestJSONProblem says where and what kind, and nothing of what stood there.
func TestJSONProblem(t *testing.T) {
	var into struct {
		Issuer string `json:"issuer"`
	}
	for body, want := range map[string]string{
		`{"issuer":["MARK"]}`: "issuer is of the wrong type",
		`{"issuer":MARK}`:     "not JSON (at byte 11)",
		`["MARK"]`:            "not the JSON that was expected",
		``:                    "not JSON (at byte 0)",
	} {
		if got := jsonProblem(json.Unmarshal([]byte(body), &into)).Error(); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}
