# A token without the Vault provider, or with one that has no ephemeral resources: apply.sh reads
# it, and it comes as an ephemeral variable, which is in no state and no plan. A provider takes it
# as var.graph_token.
terraform {
  required_version = ">= 1.11"
}

variable "graph_token" {
  type      = string
  sensitive = true
  ephemeral = true
}

resource "terraform_data" "me" {
  provisioner "local-exec" {
    command = "curl -sS --fail-with-body -H \"Authorization: Bearer $GRAPH_TOKEN\" https://graph.microsoft.com/v1.0/me"
    environment = {
      GRAPH_TOKEN = var.graph_token
    }
  }
}
