# An operator looks after accounts and never sees a token. Deleting an account
# resets its pin, so it is not among the capabilities.
path "entra/account" {
  capabilities = ["list"]
}
path "entra/account/*" {
  capabilities = ["list", "read", "update"]
}
path "entra/check/*" {
  capabilities = ["read"]
}
path "entra/login/*" {
  capabilities = ["read"]
}
path "entra/config" {
  capabilities = ["read"]
}
path "entra/roles" {
  capabilities = ["list"]
}
path "entra/roles/*" {
  capabilities = ["list", "read"]
}
