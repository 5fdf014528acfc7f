# Vault Agent starts a program with an access token in its environment, and starts
# it anew when the token changes.
# vault agent -config=environment.hcl
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

env_template "GRAPH_TOKEN" {
  contents             = "{{ with secret \"entra/token/ci/graph\" }}{{ .Data.access_token }}{{ end }}"
  error_on_missing_key = true
}

env_template "GRAPH_TOKEN_EXPIRES" {
  contents = "{{ with secret \"entra/token/ci/graph\" }}{{ .Data.expire_time }}{{ end }}"
}

exec {
  command                   = ["/usr/local/bin/report", "--watch"]
  restart_on_secret_changes = "always"
  restart_stop_signal       = "SIGTERM"
}
