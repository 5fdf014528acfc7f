// SPDX-License-Identifier: MPL-2.0

package entra

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
)

// A token whose key is not cached costs a fetch: keys roll over. So many of them a minute are
// plenty for that, and few enough for a provider whose tokens are forged by the thousand.
const (
	maxRenewals   = 5
	renewalWindow = time.Minute
)

// signingKey is a member of the JWKS, with the issuer that Entra names in it ("Access tokens",
// validate the signing key's issuer): one document holds the keys of personal accounts and of
// organizations.
type signingKey struct {
	jose.JSONWebKey
	issuer string // may hold {tenantid}; "" = not said
}

type keySet struct{ keys []signingKey }

// keys are the provider's, fetched and renewed as tokens need them.
type keys struct {
	fetched[*keySet]

	budget      sync.Mutex // guards the count of renewals
	windowStart time.Time
	renewals    int
}

// mayRenew counts one fetch that a token with an unknown key causes.
func (k *keys) mayRenew() bool {
	k.budget.Lock()
	defer k.budget.Unlock()
	if now := k.now(); now.Sub(k.windowStart) >= renewalWindow {
		k.windowStart, k.renewals = now, 0
	}
	k.renewals++
	return k.renewals <= maxRenewals
}

// fetchKeys is the fetch behind Client.keys. Whatever the endpoint answers instead of keys, it says
// nothing about a user or a token: the error is of ClassTransient.
func (c *Client) fetchKeys(ctx context.Context) (*keySet, error) {
	provider, err := c.provider(ctx)
	if err != nil {
		return nil, err
	}
	from := c.forApp(provider.KeysURL)
	body, err := c.getDocument(ctx, from)
	if err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Class = ClassTransient
		}
		return nil, err
	}
	set, err := parseKeys(body)
	if err != nil {
		return nil, &Error{Class: ClassTransient,
			Description: oneLine(from + ": " + err.Error()), Err: err}
	}
	return set, nil
}

// parseKeys reads a JWKS (RFC 7517 section 5). Keys of kinds that are not known or not wanted are
// passed over, as it says.
func parseKeys(body []byte) (*keySet, error) {
	var document struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &document); err != nil {
		return nil, fmt.Errorf("not a key set: %w", jsonProblem(err))
	}
	set := &keySet{}
	for _, raw := range document.Keys {
		var key signingKey
		var entra struct {
			Issuer string `json:"issuer"`
		}
		if json.Unmarshal(raw, &key.JSONWebKey) != nil || json.Unmarshal(raw, &entra) != nil {
			continue
		}
		if key.issuer = entra.Issuer; key.canSign() {
			set.keys = append(set.keys, key)
		}
	}
	if len(set.keys) == 0 {
		return nil, errors.New("the key set holds no key that could sign an ID token")
	}
	return set, nil
}

// canSign reports whether it is a public key, for signatures, strong enough (RFC 7518 sections 3.3
// and 3.4).
func (k signingKey) canSign() bool {
	if k.Use != "" && k.Use != "sig" {
		return false
	}
	switch public := k.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= 2048
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256()
	}
	return false
}

// signs reports whether the key is one for this algorithm. A key that names none is for all of its
// kind.
func (k signingKey) signs(algorithm jose.SignatureAlgorithm) bool {
	if k.Algorithm != "" && k.Algorithm != string(algorithm) {
		return false
	}
	_, elliptic := k.Key.(*ecdsa.PublicKey)
	return elliptic == (algorithm == jose.ES256)
}

// signature is the oidc.KeySet for one ID token. It remembers why keys could not be had: go-oidc
// makes a text of that, in which an unreachable endpoint looks like a bad signature.
type signature struct {
	keys      *keys
	keyID     string
	algorithm jose.SignatureAlgorithm
	issuer    string // that a key which names one must name; "" = any
	tid       string // in place of {tenantid}

	unavailable error // an *Error of ClassTransient
}

// VerifySignature implements oidc.KeySet. If none of the keys that are cached verifies the token
// they are renewed once: the provider may have rolled them over since, under a new id or (restarted
// test providers do it) under the same.
func (s *signature) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	cached, err := s.keys.get(ctx)
	if err != nil {
		s.unavailable = err
		return nil, err
	}
	payload, refused := s.try(ctx, cached, jwt)
	if refused == nil {
		return payload, nil
	}
	renewed, err := s.keys.renewOnce(ctx, cached, s.keys.mayRenew)
	if err != nil {
		s.unavailable = err
		return nil, err
	}
	if renewed == cached {
		return nil, refused
	}
	return s.try(ctx, renewed, jwt)
}

func (s *signature) try(ctx context.Context, set *keySet, jwt string) ([]byte, error) {
	var eligible []crypto.PublicKey
	for _, key := range set.keys {
		ofIssuer := s.issuer == "" || key.issuer == "" ||
			strings.ReplaceAll(key.issuer, tenantPlaceholder, s.tid) == s.issuer
		named := s.keyID == "" || key.KeyID == "" || key.KeyID == s.keyID
		if ofIssuer && named && key.signs(s.algorithm) {
			eligible = append(eligible, key.Key)
		}
	}
	if len(eligible) == 0 {
		return nil, errors.New("it is signed with a key that the issuer does not publish")
	}
	static := &oidc.StaticKeySet{PublicKeys: eligible}
	return static.VerifySignature(ctx, jwt)
}
