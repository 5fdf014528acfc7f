# A pipeline reads one resource's token of one account, and nothing else.
path "entra/token/alice/arm" {
  capabilities = ["read"]
}
