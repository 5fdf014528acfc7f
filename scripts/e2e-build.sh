#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
#
# Builds what the end-to-end tests run, and prints its folder: Vault, the plugin in
# two versions, vault-entra, the simulator, and the programs that others have
# written. What is up to date in the folder is not touched.
#
# usage: scripts/e2e-build.sh [DIR]      into DIR, bin/e2e by default
#        PREVIOUS=COMMIT scripts/e2e-build.sh [DIR]
#
# PREVIOUS is the version that the upgrade test upgrades from and rolls back to: by
# default the last release, or this one again where there is no release to be found.
# Set ENTRA_E2E_PROGRAMS to the folder, and the tests do not run this script.

set -euo pipefail
# shellcheck source-path=SCRIPTDIR
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() { sed -n '/^# usage:/,/^$/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

case "${1:-}" in
-h | --help) usage && exit ;;
esac
need go git
mkdir -p "${1:-$root/bin/e2e}"
dir=$(cd "${1:-$root/bin/e2e}" && pwd)
plugin=vault-plugin-secrets-entra

# build NAME MODULE PACKAGE
build() {
	CGO_ENABLED=0 go build -C "$root/$2" -buildvcs=false -o "$dir/$1" "$3"
}

# kinds NAME MODULE FOLDER: what an operator adds to Kubernetes, as its module has it.
kinds() {
	local file module
	module=$(go list -C "$root/e2e/kubernetes" -m -f '{{.Dir}}' "$2")
	for file in "$module/$3"/*_*.yaml; do
		echo ---
		cat "$file"
	done >"$dir/$1.yaml"
}

vso=github.com/hashicorp/vault-secrets-operator
eso=github.com/external-secrets/external-secrets

vault_bin=$("$root/scripts/vault.sh")
ln -sf "$vault_bin" "$dir/vault"

say "build what the end-to-end tests run, into $dir"
VERSION=v0.0.1-e2e "$root/scripts/build.sh" "$dir/plugins" >&2

release() { git -C "$root" describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null || true; }
previous=${PREVIOUS:-$(release)}
sources=$root
if [ -n "$previous" ]; then
	say "the version to upgrade from: $previous"
	work=$(mktemp -d "${TMPDIR:-/tmp}/entra-previous-XXXXXX")
	trap 'rm -rf "$work"' EXIT
	git -C "$root" archive "$previous" | tar xf - -C "$work"
	sources=$work
fi
VERSION=v0.0.0-e2e "$sources/scripts/build.sh" "$dir/previous" >&2
ln -f "$dir/previous/$plugin" "$dir/plugins/$plugin-previous"

build plugins/diesonce e2e ./diesonce
build vault-entra . ./cmd/vault-entra
build entra-simulator . ./cmd/entra-simulator
build recipe-go . ./docs/recipes/go
build zitadel e2e/providers/zitadel .
build consul-template e2e/consul-template github.com/hashicorp/consul-template
build terraform e2e/readers/terraform github.com/hashicorp/terraform
build terraform-provider-vault e2e/readers/terraform-provider-vault \
	github.com/terraform-providers/terraform-provider-vault
build azure-go e2e/commandline/azure-go .
build kubelogin e2e/commandline/kubelogin github.com/Azure/kubelogin
build etcd e2e/kubernetes go.etcd.io/etcd/server/v3
build kube-apiserver e2e/kubernetes k8s.io/kubernetes/cmd/kube-apiserver
build vault-secrets-operator e2e/kubernetes "$vso"
build external-secrets e2e/kubernetes "$eso"
kinds vault-secrets-operator "$vso" config/crd/bases
kinds external-secrets "$eso" config/crds/bases
printf '%s\n' "$dir"
