# Vault Proxy answers programs on this machine, which then need no token of Vault's:
# curl http://127.0.0.1:8100/v1/entra/token/ci/graph
# vault proxy -config=proxy.hcl
vault {
  address = "https://vault.example.com:8200"

  # A program is told of an error at once. By default the proxy tries a 502 again twelve
  # times while the program waits.
  retry {
    num_retries = -1
  }
}

auto_auth {
  method "token_file" { # whichever method you use
    config = {
      token_file_path = "/etc/vault-proxy/token"
    }
  }
}

api_proxy {
  use_auto_auth_token = "force"
}

listener "tcp" {
  address     = "127.0.0.1:8100" # loopback: whoever reaches it reads as the proxy
  tls_disable = true
}
