// SPDX-License-Identifier: MPL-2.0

// Package okta stands for Okta's client: Okta as a second factor is left out of the
// small Vault. A client cannot be made, so nothing beyond it is ever called.
package okta

import (
	"context"
	"errors"
	"net/http"
)

var errLeftOut = errors.New("MFA by Okta is left out of the small Vault")

type (
	// Configuration is a client's settings.
	Configuration struct{ Context context.Context }
	// ConfigSetter changes a Configuration.
	ConfigSetter func(*Configuration)
	// APIClient calls Okta.
	APIClient struct {
		UserAPI       UserAPI
		UserFactorAPI UserFactorAPI
	}
	// UserAPI finds users.
	UserAPI struct{}
	// UserFactorAPI asks for a second factor.
	UserFactorAPI struct{}
	// Request is a call that answers T.
	Request[T any] struct{}
	// User is a user.
	User struct{}
	// Factor is one of a user's factors.
	Factor struct{ UserFactorPush *UserFactorPush }
	// UserFactorPush is a push to a user's device.
	UserFactorPush struct{}
	// Verification is a push that was sent.
	Verification struct{ Links any }
	// Transaction is what became of a push.
	Transaction struct {
		UserFactorPushTransaction         *struct{}
		UserFactorPushTransactionWaiting  *struct{}
		UserFactorPushTransactionRejected *struct{}
		UserFactorPushTransactionTimeout  *struct{}
	}
)

// NewConfiguration is refused.
func NewConfiguration(...ConfigSetter) (*Configuration, error) { return nil, errLeftOut }

// WithToken changes nothing.
func WithToken(string) ConfigSetter { return nil }

// WithOrgUrl changes nothing.
func WithOrgUrl(string) ConfigSetter { return nil }

// WithCache changes nothing.
func WithCache(bool) ConfigSetter { return nil }

// NewAPIClient returns a client that answers nothing.
func NewAPIClient(*Configuration) *APIClient { return &APIClient{} }

// GetConfig is empty.
func (*APIClient) GetConfig() *Configuration {
	return &Configuration{Context: context.Background()}
}

// Execute is refused.
func (Request[T]) Execute() (answer T, _ *http.Response, _ error) {
	return answer, nil, errLeftOut
}

// Filter changes nothing.
func (r Request[T]) Filter(string) Request[T] { return r }

// ListUsers is refused.
func (UserAPI) ListUsers(context.Context) (_ Request[[]User]) { return }

// ListFactors is refused.
func (UserFactorAPI) ListFactors(context.Context, string) (_ Request[[]Factor]) { return }

// VerifyFactor is refused.
func (UserFactorAPI) VerifyFactor(context.Context, string, string) (_ Request[*Verification]) {
	return
}

// GetFactorTransactionStatus is refused.
func (UserFactorAPI) GetFactorTransactionStatus(
	context.Context, string, string, string,
) (_ Request[*Transaction]) {
	return
}

// GetId is empty.
func (User) GetId() string { return "" }

// GetId is empty.
func (*UserFactorPush) GetId() string { return "" }

// GetFactorResult is empty.
func (*Verification) GetFactorResult() string { return "" }
