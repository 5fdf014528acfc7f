// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	deviceGrantType    = "urn:ietf:params:oauth:grant-type:device_code" // RFC 8628 section 3.4
	defaultInterval    = 5 * time.Second                                // section 3.2
	maxInterval        = time.Minute
	defaultDeviceTTL   = 15 * time.Minute
	maxDeviceTTL       = time.Hour
	slowDownBy         = 5 * time.Second // section 3.5
	codeSlowDown       = "slow_down"
	maxDeviceMessage   = 400 // runes
	maxVerificationURI = 400
)

// DeviceCode is a sign-in that a person completes on another device (RFC 8628).
type DeviceCode struct {
	Code            Secret // what is polled with
	UserCode        string // what the person enters
	VerificationURI string // where
	// where, with the code in it (RFC 8628 section 3.3.1); "" = not offered
	VerificationURIComplete string
	Message                 string        // both, in the provider's words
	Interval                time.Duration // between two polls
	Expiry                  time.Time     // UTC
}

// StartDevice begins a device code sign-in. The error is an *Error.
func (c *Client) StartDevice(ctx context.Context, scopes []string) (*DeviceCode, error) {
	provider, err := c.provider(ctx)
	if err != nil {
		return nil, err
	}
	if provider.DeviceURL == "" {
		return nil, &Error{
			Class: ClassRequest,
			Description: "the authority offers no device code sign-in (its discovery document " +
				"names no device_authorization_endpoint)",
		}
	}
	a, secrets, err := c.post(ctx, provider, provider.DeviceURL,
		url.Values{"scope": {strings.Join(withReserved(scopes), " ")}}, nil)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, a.refusal(secrets, c.cfg.Now())
	}
	device, err := parseDevice(a.body, a.sent)
	if err != nil {
		e := a.refusal(secrets, c.cfg.Now())
		e.Class, e.Err = ClassTransient, err
		e.Description = oneLine("the answer from " + a.host + " cannot be used: " + err.Error())
		return nil, e
	}
	return device, nil
}

// parseDevice reads the answer of RFC 8628 section 3.2. No error repeats anything of it.
func parseDevice(body []byte, sent time.Time) (*DeviceCode, error) {
	var wire struct {
		DeviceCode      string          `json:"device_code"`
		UserCode        string          `json:"user_code"`
		VerificationURI string          `json:"verification_uri"`
		VerificationURL string          `json:"verification_url"` // v1's and Google's name of it
		Complete        json.RawMessage `json:"verification_uri_complete"`
		Message         string          `json:"message"`
		ExpiresIn       json.RawMessage `json:"expires_in"`
		Interval        json.RawMessage `json:"interval"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, jsonProblem(err)
	}
	if wire.DeviceCode == "" || wire.UserCode == "" {
		return nil, errors.New("it holds no device_code or no user_code")
	}
	if wire.VerificationURI == "" {
		wire.VerificationURI = wire.VerificationURL
	}
	if problem := endpointProblem(wire.VerificationURI, true); problem != "" {
		return nil, errors.New("its verification_uri " + problem)
	}
	device := &DeviceCode{
		Code:            Secret(wire.DeviceCode),
		UserCode:        printable(wire.UserCode, maxCode),
		VerificationURI: printable(wire.VerificationURI, maxVerificationURI),
		Message:         printable(wire.Message, maxDeviceMessage),
		Interval:        min(seconds(wire.Interval, defaultInterval), maxInterval),
		Expiry:          sent.Add(min(seconds(wire.ExpiresIn, defaultDeviceTTL), maxDeviceTTL)),
	}
	if complete := text(wire.Complete); endpointProblem(complete, true) == "" &&
		complete == printable(complete, maxVerificationURI) {
		device.VerificationURIComplete = complete
	}
	if device.Message == "" {
		device.Message = "To sign in, open " + device.VerificationURI + " and enter the code " +
			device.UserCode + "."
	}
	return device, nil
}

// seconds reads a positive number of seconds; otherwise what it is taken to be.
func seconds(raw json.RawMessage, otherwise time.Duration) time.Duration {
	if d, isNumber := duration(raw); isNumber && d >= time.Second {
		return d
	}
	return otherwise
}

// PollDevice asks once whether the person has signed in. The error is an *Error: of ClassPending
// while that is not so. Between two polls lies at least DeviceCode.Interval, and SlowDown more
// whenever the error says so.
func (c *Client) PollDevice(ctx context.Context, code Secret, scopes []string) (*SignIn, error) {
	if err := c.readyToVerify(ctx); err != nil {
		return nil, err
	}
	answer, err := c.redeem(ctx, scopes, "", url.Values{
		"grant_type":  {deviceGrantType},
		"device_code": {code.Reveal()},
		"scope":       {strings.Join(withReserved(scopes), " ")},
	})
	var refused *Error
	if errors.As(err, &refused) && refused.Code == "access_denied" &&
		(refused.Class == ClassBlocked && numbers[refused.AADSTS] == "") {
		refused.Class = ClassSignIn // RFC 8628 section 3.5: the person said no
	}
	if err != nil {
		return nil, err
	}
	return c.signIn(ctx, answer, nil)
}

// SlowDown is how much longer to wait between polls from now on, zero for most errors.
func (e *Error) SlowDown() time.Duration {
	if e.Code == codeSlowDown {
		return slowDownBy
	}
	return 0
}
