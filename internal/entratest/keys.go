// SPDX-License-Identifier: MPL-2.0

package entratest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// listedKeys is how many keys the JWKS shows after rollovers.
const listedKeys = 3

// keyRing holds the keys that sign ID tokens. The first one is made when it is
// first needed, because many tests never sign anything.
type keyRing struct {
	mu   sync.Mutex // guards keys; held while a key is made
	keys []*signingKey
}

type signingKey struct {
	kid     string
	private *rsa.PrivateKey
	der     []byte // its certificate
}

func newKeyRing() *keyRing { return &keyRing{} }

func newSigningKey() *signingKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(fmt.Sprintf("entratest: making an RSA key: %v", err))
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "accounts.accesscontrol.windows.net"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(5, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(fmt.Sprintf("entratest: making a signing certificate: %v", err))
	}
	sum := sha1.Sum(der) // Entra's kid is the certificate's x5t
	return &signingKey{kid: base64.RawURLEncoding.EncodeToString(sum[:]), private: private,
		der: der}
}

// current returns the key that signs now.
func (k *keyRing) current() *signingKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.keys) == 0 {
		k.keys = []*signingKey{firstKeys.take()}
	}
	return k.keys[0]
}

// ownKeys returns the keys of an app that has its own, or nil.
func (s *Simulator) ownKeys(clientID string) *keyRing {
	s.mu.Lock()
	defer s.mu.Unlock()
	app := s.apps[appKey(clientID)]
	if app == nil || !app.OwnSigningKey {
		return nil
	}
	ring := s.appKeys[appKey(clientID)]
	if ring == nil {
		ring = newKeyRing()
		s.appKeys[appKey(clientID)] = ring
	}
	return ring
}

// firstKeys are what the simulators of one process start with, in turn. Tests
// start many, and an RSA key takes long to make. Two simulators that are used
// together have different ones, and a rollover always makes a new one.
var firstKeys keyStock

type keyStock struct {
	mu   sync.Mutex // guards all below; held while a key is made
	keys []*signingKey
	next int
}

func (s *keyStock) take() *signingKey {
	const size = 8
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) < size {
		s.keys = append(s.keys, newSigningKey())
	}
	key := s.keys[s.next]
	s.next = (s.next + 1) % size
	return key
}

// unlisted returns a key that no JWKS shows.
var unlisted = sync.OnceValue(newSigningKey)

func (k *keyRing) rotate(keepOld bool) {
	k.current() // a key that was never used is rolled over like any other
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := []*signingKey{newSigningKey()}
	if keepOld {
		keys = append(keys, k.keys...)
	}
	k.keys = keys[:min(len(keys), listedKeys)]
}

// jwk is a key as Entra publishes it.
type jwk struct {
	Kty       string   `json:"kty"`
	Use       string   `json:"use"`
	Kid       string   `json:"kid"`
	X5t       string   `json:"x5t"`
	N         string   `json:"n"`
	E         string   `json:"e"`
	X5c       []string `json:"x5c"`
	CloudName string   `json:"cloud_instance_name"`
	Issuer    string   `json:"issuer"`
}

// published returns the JWKS of an authority.
func (k *keyRing) published(a authority) map[string][]jwk {
	k.current()
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := make([]jwk, 0, len(k.keys))
	for _, key := range k.keys {
		keys = append(keys, jwk{
			Kty: "RSA", Use: "sig", Kid: key.kid, X5t: key.kid,
			N: base64.RawURLEncoding.EncodeToString(key.private.N.Bytes()),
			E: base64.RawURLEncoding.EncodeToString(
				big.NewInt(int64(key.private.E)).Bytes()),
			X5c:       []string{base64.StdEncoding.EncodeToString(key.der)},
			CloudName: "microsoftonline.com",
			Issuer:    a.publishedIssuer(),
		})
	}
	return map[string][]jwk{"keys": keys}
}

// sign returns claims as a compact RS256 JWT under the given kid.
func (key *signingKey) sign(claims map[string]any, kid string) string {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key.private, KeyID: kid}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		panic(fmt.Sprintf("entratest: making a signer: %v", err))
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(fmt.Sprintf("entratest: claims that are no JSON: %v", err))
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		panic(fmt.Sprintf("entratest: signing: %v", err))
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		panic(fmt.Sprintf("entratest: serialising a JWT: %v", err))
	}
	return compact
}
