# A pipeline reads one resource's token of one account, and may ask first whether
# there is one. Nothing else.
path "entra/token/alice/arm" {
  capabilities = ["read"]
}
path "entra/check/alice/arm" {
  capabilities = ["read"]
}
