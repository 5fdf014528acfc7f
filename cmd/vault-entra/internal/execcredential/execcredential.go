// SPDX-License-Identifier: MPL-2.0

// Package execcredential answers kubectl and other programs of client-go as one of their
// credential plugins: "client-go credential plugins" of Kubernetes' documentation
// (docs/reference/access-authn-authz/authentication), and its types of
// k8s.io/client-go/pkg/apis/clientauthentication.
package execcredential

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// InfoVariable is the variable that tells a plugin what is asked for.
const InfoVariable = "KUBERNETES_EXEC_INFO"

// AKS is the application ID of the server that Azure Kubernetes Service has in every tenant: the
// resource of a token for a cluster with Microsoft Entra ID (Azure/kubelogin, docs/book,
// "--server-id").
const AKS = "6dae42f8-4368-4678-94ff-3960e28e3630"

const (
	kind    = "ExecCredential"
	v1      = "client.authentication.k8s.io/v1"
	v1beta1 = "client.authentication.k8s.io/v1beta1"
)

type typeMeta struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
}

// Version is the API version to answer in: that of what the variable holds, v1 if it is empty. A
// client refuses an answer in another version than its kubeconfig names.
func Version(info string) (string, error) {
	if info == "" {
		return v1, nil
	}
	var asked typeMeta
	switch err := json.Unmarshal([]byte(info), &asked); {
	case err != nil:
		return "", fmt.Errorf("%s: %w", InfoVariable, err)
	case asked.Kind != kind:
		return "", fmt.Errorf("%s has kind %q, not %s", InfoVariable, asked.Kind, kind)
	case asked.APIVersion != v1 && asked.APIVersion != v1beta1:
		return "", fmt.Errorf(
			"apiVersion %q: set %s for this plugin in your kubeconfig", asked.APIVersion, v1)
	}
	return asked.APIVersion, nil
}

// Write answers with a token. client-go uses it until expiry and not a moment less, so that the
// time given should be when another token can be had, and not when this one ends. The zero time
// is not told: the token is then asked for once for each process.
func Write(out io.Writer, version, token string, expiry time.Time) error {
	if token == "" {
		return errors.New("no token")
	}
	type status struct {
		ExpirationTimestamp string `json:"expirationTimestamp,omitempty"` // RFC 3339
		Token               string `json:"token"`
	}
	answer := struct {
		typeMeta
		Status status `json:"status"`
	}{typeMeta{version, kind}, status{Token: token}}
	if !expiry.IsZero() {
		answer.Status.ExpirationTimestamp = expiry.UTC().Format(time.RFC3339)
	}
	return json.NewEncoder(out).Encode(answer)
}
