// SPDX-License-Identifier: MPL-2.0

package dockercredential

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// exchangeTime bounds the call of a registry, which a person waits for.
const exchangeTime = 30 * time.Second

// maxAnswer bounds a registry's answer: a token of a few KiB.
const maxAnswer = 1 << 20

// Exchange changes an access token of Entra's for a refresh token of a registry's (Azure/acr,
// docs/AAD-OAuth.md, "Calling POST /oauth2/exchange to get an ACR refresh token").
type Exchange struct {
	client *http.Client
}

// NewExchange calls registries by a transport.
func NewExchange(transport http.RoundTripper) *Exchange {
	return &Exchange{client: &http.Client{
		Transport: transport,
		Timeout:   exchangeTime,
		// Another address would be sent the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// RefreshToken is what docker signs in to the registry with. It lives some hours.
func (e *Exchange) RefreshToken(ctx context.Context, registry string, t *Token) (string, error) {
	form := url.Values{
		"grant_type": {"access_token"}, "service": {registry}, "tenant": {t.TenantID},
		"access_token": {t.Access},
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"https://"+registry+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	response, err := e.client.Do(request)
	if err != nil {
		return "", fmt.Errorf("registry: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", fmt.Errorf("registry %s: %w", registry, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("registry %s refuses the token: %s", registry,
			refusal(response.StatusCode, body))
	}
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.RefreshToken == "" {
		return "", fmt.Errorf("registry %s: %w", registry,
			errors.New("its answer has no refresh_token; is it of Azure Container Registry?"))
	}
	return answer.RefreshToken, nil
}

// refusal is a registry's own word for what it refuses: the errors of the OCI distribution
// specification, "Error Codes".
func refusal(status int, body []byte) string {
	said := fmt.Sprintf("status %d", status)
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0 {
		said += fmt.Sprintf(", %s: %s", answer.Errors[0].Code, answer.Errors[0].Message)
	}
	return said
}
