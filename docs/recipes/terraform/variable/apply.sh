#!/bin/sh
# Gives main.tf its token. A line of its own ends the script when the token cannot be read;
# in front of terraform, as in TF_VAR_graph_token=$(…) terraform apply, it would not.
set -eu
TF_VAR_graph_token=$(vault read -field=access_token entra/token/ci/graph)
export TF_VAR_graph_token
terraform apply "$@"
