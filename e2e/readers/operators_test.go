// SPDX-License-Identifier: MPL-2.0

package readers

import (
	"encoding/base64"
	"fmt"
	"os"
	"testing"
	"time"

	"vault-plugin-secrets-entra/e2e/harness"
)

// operators keep a token in a Secret of Kubernetes. They run as they are, each on its recipe in
// a namespace of its own, without the choice of a leader and on free ports.
func operators() []*reader {
	k := &kubernetes{}
	vault, external := &workload{}, &workload{}
	return []*reader{
		{name: "Vault Secrets Operator", version: moduleVersion("e2e/kubernetes",
			"github.com/hashicorp/vault-secrets-operator"),
			built: "vault-secrets-operator", says: absent("empty response from Vault"),
			start: func(s *seat) *harness.Process { return vaultSecretsOperator(s, k, vault) },
			after: func(t *testing.T, s *seat) {
				vault.changes(t, s)
				vault.restartsWithTokens(t)
			}},
		{name: "External Secrets Operator", version: moduleVersion("e2e/kubernetes",
			"github.com/external-secrets/external-secrets"),
			built: "external-secrets", says: absent("empty response from Vault"),
			start: func(s *seat) *harness.Process { return externalSecrets(s, k, external) },
			after: func(t *testing.T, s *seat) {
				external.changes(t, s)
				withoutTemplate(t, s, k)
			}},
	}
}

// kubernetes is the API server that the operators share. The first of them starts it.
type kubernetes struct{ server *harness.Kubernetes }

// install makes the kinds of an operator, as its module has them.
func (k *kubernetes) install(s *seat, program string) {
	s.t.Helper()
	if k.server == nil {
		k.server = harness.NewKubernetes(s.t)
	}
	kinds, err := os.ReadFile(harness.Program(s.t, program+".yaml"))
	if err != nil {
		s.t.Fatal(err)
	}
	k.server.Apply("", kinds)
}

// apply makes a namespace with a recipe and the Secret with a SecretID that it names.
func (k *kubernetes) apply(s *seat, namespace, recipe string, replace ...string) {
	s.t.Helper()
	role, secretID := s.appRole()
	k.server.Apply("", fmt.Appendf(nil, "apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n",
		namespace))
	k.server.Apply(namespace, fmt.Appendf(nil, approleSecret,
		base64.StdEncoding.EncodeToString([]byte(secretID))))
	manifest, err := os.ReadFile(s.recipe("kubernetes/"+recipe,
		append(replace, recipeVault, s.e.Addr, "ROLE_ID", role)...))
	if err != nil {
		s.t.Fatal(err)
	}
	k.server.Apply(namespace, manifest)
}

// approleSecret is what both recipes call the Secret with the SecretID.
const approleSecret = `
apiVersion: v1
kind: Secret
metadata: {name: vault-approle}
data: {id: %s}
`

// deployment is what the Vault Secrets Operator's recipe restarts.
const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: report}
spec:
  selector: {matchLabels: {app: report}}
  template:
    metadata: {labels: {app: report}}
    spec: {containers: [{name: report, image: report}]}
`

func vaultSecretsOperator(s *seat, k *kubernetes, w *workload) *harness.Process {
	k.install(s, "vault-secrets-operator")
	k.apply(s, s.account, "vault-secrets-operator.yaml")
	k.server.Apply(s.account, []byte(deployment))
	w.watch(s, k.server)
	return harness.StartProcess(s.t, s.log, []string{"KUBECONFIG=" + k.server.Config},
		harness.Program(s.t, "vault-secrets-operator"), "-leader-elect=false",
		"-metrics-bind-address=127.0.0.1:0", "-health-probe-bind-address=127.0.0.1:0")
}

// everyFive is an interval that is to a token's life as the recipe's is to an hour.
var everyFive = []string{"refreshInterval: 5m0s", "refreshInterval: 5s"}

func externalSecrets(s *seat, k *kubernetes, w *workload) *harness.Process {
	k.install(s, "external-secrets")
	k.apply(s, s.account, "external-secrets.yaml", everyFive...)
	w.watch(s, k.server)
	return harness.StartProcess(s.t, s.log, []string{"KUBECONFIG=" + k.server.Config},
		harness.Program(s.t, "external-secrets"), "--metrics-addr=127.0.0.1:0")
}

// recipeTemplate is what keeps all fields but the token out of the Secret.
const recipeTemplate = `
    template:
      data:
        access_token: "{{ .access_token }}"
`

// withoutTemplate shows what the template in the recipe is for: without it the Secret is
// another at each read, with the same token.
func withoutTemplate(t *testing.T, s *seat, k *kubernetes) {
	namespace, all := s.account+"-all", &workload{}
	k.apply(s, namespace, "external-secrets.yaml", append(everyFive, recipeTemplate, "\n")...)
	all.watchSecret(t, k.server, namespace, func(string) {})
	harness.Eventually(t, time.Minute, "a Secret that changes under its token", func() error {
		all.mu.Lock()
		defer all.mu.Unlock()
		for i := 1; i < len(all.secrets); i++ {
			if all.secrets[i].token == all.secrets[i-1].token {
				return nil
			}
		}
		return fmt.Errorf("%d tokens, each once", len(all.secrets))
	})
}

// appRole makes an AppRole that may read the reader's token and nothing else. It returns the
// RoleID and a SecretID.
func (s *seat) appRole() (role, secretID string) {
	s.t.Helper()
	if s.e.Get("sys/auth/approle").Status != 200 {
		s.e.Put("sys/auth/approle", object{"type": "approle"}).Want(204)
	}
	policy := fmt.Sprintf("path %q { capabilities = [\"read\"] }", s.path())
	s.e.Put("sys/policies/acl/"+s.account, object{"policy": policy}).Want(204)
	path := "auth/approle/role/" + s.account
	s.e.Put(path, object{"token_policies": s.account}).Want(204)
	role = s.e.Get(path + "/role-id").Want(200).Text("role_id")
	return role, s.e.Put(path+"/secret-id", nil).Want(200).Text("secret_id")
}
