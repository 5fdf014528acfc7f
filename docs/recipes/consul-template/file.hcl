# consul-template keeps a file with an access token that has not expired.
# VAULT_TOKEN=... consul-template -config=file.hcl
vault {
  address     = "https://vault.example.com:8200"
  renew_token = false
}

template {
  contents    = <<-EOT
    {{- with secret "entra/token/ci/graph" -}}
    {{ .Data.access_token }}
    {{ .Data.expire_time }}
    {{- end }}
  EOT
  destination = "/run/entra/graph"
  perms       = "0600"
}
