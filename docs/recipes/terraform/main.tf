# Terraform 1.10 or later writes the config and the roles. Not run here.
terraform {
  required_version = ">= 1.10"
  required_providers {
    vault = {
      source = "hashicorp/vault"
    }
  }
}

variable "client_secret" {
  type      = string
  sensitive = true
}

# The config's read returns no secret, so Terraform must not compare it. The secret
# that is written here stands in the state: guard that, or write it by other means
# and leave it out here (an update keeps a field that it does not name).
resource "vault_generic_endpoint" "config" {
  path                 = "entra/config"
  disable_read         = true
  disable_delete       = true
  ignore_absent_fields = true
  data_json = jsonencode({
    tenant_id     = "00000000-0000-0000-0000-000000000000"
    client_id     = "11111111-1111-1111-1111-111111111111"
    client_secret = var.client_secret
    redirect_uris = ["https://vault.example.com:8200/v1/entra/callback"]
  })
}

resource "vault_generic_endpoint" "graph" {
  depends_on           = [vault_generic_endpoint.config]
  path                 = "entra/roles/graph"
  ignore_absent_fields = true
  data_json            = jsonencode({ scopes = ["User.Read"] })
}

# A token is never read by a data source: that would put it into the state. An
# ephemeral variable is not stored:
#
#   TF_VAR_graph_token=$(vault read -field=access_token entra/token/ci/graph) terraform apply
variable "graph_token" {
  type      = string
  sensitive = true
  ephemeral = true
  default   = null
}
