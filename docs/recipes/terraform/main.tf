# Terraform or OpenTofu writes the config and the roles. Its Vault token needs
# policies/administrator.hcl, and update on auth/token/create: the provider makes itself a
# token of a short life.
terraform {
  required_version = ">= 1.11"
  required_providers {
    vault = {
      source  = "hashicorp/vault"
      version = ">= 1.9"
    }
  }
}

variable "client_secret" {
  type      = string
  sensitive = true
}

# A field that the read does not return, the secret, is not compared; what somebody else
# changed of the others is seen. To write the secret again, whatever is there now:
# terraform apply -replace=vault_generic_endpoint.config. The secret stands in the state: guard
# that, or write it by other means and leave it out here (an update keeps a field that it does
# not name).
resource "vault_generic_endpoint" "config" {
  path                 = "entra/config"
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
