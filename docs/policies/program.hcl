# A program that vault-entra serves: every token of one account, and the roles by
# which vault-entra finds the token of a resource. With a map, or with -role, it
# needs no roles.
path "entra/token/ci" {
  capabilities = ["read"]
}
path "entra/token/ci/+" {
  capabilities = ["read"]
}
path "entra/roles" {
  capabilities = ["list"]
}
path "entra/roles/+" {
  capabilities = ["read"]
}
