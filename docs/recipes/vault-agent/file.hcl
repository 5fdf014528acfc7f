# Vault Agent keeps a file with an access token that has not expired.
# vault agent -config=file.hcl
vault {
  address = "https://vault.example.com:8200"
}

auto_auth {
  method "token_file" { # whichever method you use
    config = {
      token_file_path = "/etc/vault-agent/token"
    }
  }
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
