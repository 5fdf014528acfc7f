# A token that is read in each run and is in no state and no plan; a data source would put it
# into both. A provider takes it as ephemeral.vault_generic_secret.graph.data["access_token"].
terraform {
  required_version = ">= 1.11"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 5.8"
    }
  }
}

ephemeral "vault_generic_secret" "graph" {
  path = "entra/token/ci/graph"
}
