# A program that vault-entra serves: every token of one account, what vault-entra
# doctor looks at, and the roles by which the token of a resource is found. With a
# map, or with -role, it needs no roles.
path "entra/token/ci" {
  capabilities = ["read"]
}
path "entra/token/ci/+" {
  capabilities = ["read"]
}
path "entra/check/ci" {
  capabilities = ["read"]
}
path "entra/check/ci/+" {
  capabilities = ["read"]
}
path "entra/roles" {
  capabilities = ["list"]
}
path "entra/roles/+" {
  capabilities = ["read"]
}
