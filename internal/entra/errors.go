// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const maxRetryAfter = time.Hour

// Error is a refusal by the authority, or the lack of an answer. Every text in it is printable,
// capped, and free of the secrets that the request sent.
type Error struct {
	Class    Class
	Code     string // `error`; "" where the authority gave none
	Suberror string // `suberror`, or `error_subcode` of an authorization response
	// the one of `error_codes` that says most, else the number in the description; 0 = none
	AADSTS int
	// one line, 300 runes at most, as Entra words it ("AADSTS50173: …"), without its ids and time
	Description string
	// from the answer; what we sent as client-request-id where it says none
	CorrelationID string
	TraceID       string        // "" = none
	Status        int           // HTTP status; 0 = no answer, or not from a request
	RetryAfter    time.Duration // 0 = none; at most an hour
	Claims        string        // a claims challenge, a JSON object; "" = none
	Err           error         // cause, may be nil
}

// Error says what the authority said and what its support asks for. It never holds an answer's body
// as it came.
func (e *Error) Error() string {
	text := e.headline()
	var details []string
	for _, detail := range []struct{ name, value string }{
		{"error", e.Code}, {"suberror", e.Suberror}, {"correlation_id", e.CorrelationID},
		{"trace_id", e.TraceID},
	} {
		if detail.value != "" {
			details = append(details, detail.name+" "+detail.value)
		}
	}
	if len(details) == 0 {
		return text
	}
	return text + " (" + strings.Join(details, ", ") + ")"
}

// Unwrap returns the cause, so that errors.Is finds context.Canceled and the like.
func (e *Error) Unwrap() error { return e.Err }

// NoAnswer says whether the authority said nothing at all: nobody answered, or something in between
// did (5xx), or it has too much to do (429).
func (e *Error) NoAnswer() bool {
	return e.Status == 0 || e.Status >= http.StatusInternalServerError ||
		e.Status == http.StatusTooManyRequests
}

// Reason is the first sentence of the matter, without a full stop: "AADSTS50173: The provided grant
// has expired". It is meant to stand behind another message's word, in brackets.
func (e *Error) Reason() string {
	text := e.headline()
	if e.AADSTS == 0 && e.Code != "" && e.Description != "" {
		text = e.Code + ": " + text
	}
	if sentence, _, more := strings.Cut(text, ". "); more {
		text = sentence
	}
	return strings.TrimSuffix(printable(text, 160), ".")
}

// headline is the description with the number before it, or the best there is instead.
func (e *Error) headline() string {
	switch {
	case e.Description != "" && e.AADSTS != 0 && !strings.Contains(e.Description, "AADSTS"):
		return fmt.Sprintf("AADSTS%d: %s", e.AADSTS, e.Description)
	case e.Description != "":
		return e.Description
	case e.AADSTS != 0:
		return fmt.Sprintf("AADSTS%d", e.AADSTS)
	case e.Code != "":
		return e.Code
	case e.Status != 0:
		return fmt.Sprintf("HTTP %d", e.Status)
	}
	return string(e.Class)
}

// signInError is a sign-in that was refused here, not by the authority.
func signInError(description string) *Error {
	return &Error{Class: ClassSignIn, Description: oneLine(description)}
}

// wireError is the error answer of RFC 6749 section 5.2 with Entra's additions. Additions that are
// not of the type Microsoft documents are ignored, not held against the rest.
type wireError struct {
	Code          string          `json:"error"`
	Description   json.RawMessage `json:"error_description"`
	Suberror      json.RawMessage `json:"suberror"`
	Numbers       json.RawMessage `json:"error_codes"`
	TraceID       json.RawMessage `json:"trace_id"`
	CorrelationID json.RawMessage `json:"correlation_id"`
	Claims        json.RawMessage `json:"claims"`
}

// refusal makes an Error of an answer that is not what was asked for. An answer that is no OAuth
// error, whatever its status, comes from something in between (a proxy, a gateway, a throttle): it
// is transient, and none of it is repeated.
func (a *answer) refusal(secrets redactor, now time.Time) *Error {
	e := &Error{
		Status:        a.status,
		RetryAfter:    retryAfter(a.header.Get("Retry-After"), now),
		CorrelationID: printable(secrets.clean(a.header.Get("client-request-id")), maxCode),
		TraceID:       printable(secrets.clean(a.header.Get("x-ms-request-id")), maxCode),
	}
	if e.CorrelationID == "" {
		e.CorrelationID = a.requestID
	}
	var wire wireError
	if json.Unmarshal(a.body, &wire) != nil || wire.Code == "" {
		e.Class = ClassTransient
		e.Description = oneLine(
			fmt.Sprintf("HTTP %d from %s, and not an OAuth error", a.status, a.host))
		return e
	}
	e.Code = printable(secrets.clean(wire.Code), maxCode)
	e.Suberror = printable(secrets.clean(text(wire.Suberror)), maxCode)
	e.describe(secrets.clean(text(wire.Description)))
	if number := tellingNumber(wire.Numbers); number != 0 {
		e.AADSTS = number
	}
	if id := printable(secrets.clean(text(wire.CorrelationID)), maxCode); id != "" {
		e.CorrelationID = id
	}
	if id := printable(secrets.clean(text(wire.TraceID)), maxCode); id != "" {
		e.TraceID = id
	}
	e.Claims = challenge(wire.Claims, secrets)
	e.Class = classify(wire.Code, text(wire.Suberror), e.AADSTS, e.Status)
	e.reclassifyScopes()
	return e
}

// AuthorizeError makes an Error of the parameters of an error redirect (RFC 6749 section 4.1.2.1;
// error_subcode is Entra's). They passed through a browser, so anybody may have written them.
func AuthorizeError(code, description, subcode string) *Error {
	e := &Error{
		Code:     printable(redactor(nil).clean(code), maxCode),
		Suberror: printable(redactor(nil).clean(subcode), maxCode),
	}
	e.describe(redactor(nil).clean(description))
	e.Class = classifyAuthorize(e.Code, e.Suberror, e.AADSTS)
	return e
}

var (
	aadsts        = regexp.MustCompile(`AADSTS(\d{4,9})\b`)
	trailer       = regexp.MustCompile(`(?i)[\s\x{a0}]*(Trace ID|Correlation ID|Timestamp):`)
	correlationID = regexp.MustCompile(`(?i)Correlation ID: ?([0-9a-f-]{36})`)
	traceID       = regexp.MustCompile(`(?i)Trace ID: ?([0-9a-f-]{36})`)
)

// describe takes Entra's description apart: the text, its number, and the ids that follow it.
func (e *Error) describe(description string) {
	for _, found := range aadsts.FindAllStringSubmatch(description, -1) {
		if number, _ := strconv.Atoi(found[1]); e.AADSTS == 0 || wrappers[e.AADSTS] {
			e.AADSTS = number // at most nine digits
		}
	}
	if found := correlationID.FindStringSubmatch(description); found != nil {
		e.CorrelationID = found[1]
	}
	if found := traceID.FindStringSubmatch(description); found != nil {
		e.TraceID = found[1]
	}
	if at := trailer.FindStringIndex(description); at != nil {
		description = description[:at[0]]
	}
	e.Description = oneLine(description)
}

func text(raw json.RawMessage) string {
	var s string
	_ = json.Unmarshal(raw, &s) // not a string: as if it were not there
	return s
}

// tellingNumber is the first of error_codes that does not only wrap another; 0 = none.
func tellingNumber(raw json.RawMessage) int {
	var numbers []int
	if json.Unmarshal(raw, &numbers) != nil || len(numbers) == 0 {
		return 0
	}
	for _, number := range numbers {
		if !wrappers[number] {
			return max(number, 0)
		}
	}
	return max(numbers[0], 0)
}

// challenge returns the claims challenge: Entra sends a string that holds JSON. Anything else is
// not worth repeating.
func challenge(raw json.RawMessage, secrets redactor) string {
	claims := text(raw)
	if claims == "" {
		claims = string(raw)
	}
	if len(claims) > maxScanned || !isJSONObject(claims) || secrets.clean(claims) != claims {
		return ""
	}
	return claims
}

// retryAfter reads the header of RFC 9110 section 10.2.3: seconds or a date.
func retryAfter(header string, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64)
	wait := time.Duration(min(max(seconds, 0), int64(maxRetryAfter/time.Second))) * time.Second
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		date, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		wait = date.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// jsonProblem says where JSON went wrong and not what stood there.
func jsonProblem(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Errorf("%s is of the wrong type", kind.Field)
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON (at byte %d)", syntax.Offset)
	}
	return errors.New("not the JSON that was expected")
}
