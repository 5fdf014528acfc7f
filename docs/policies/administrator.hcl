# An administrator configures the mount and ends accounts, and reads no token.
path "entra/config" {
  capabilities = ["read", "update", "delete"]
}
path "entra/roles" {
  capabilities = ["list"]
}
path "entra/roles/*" {
  capabilities = ["list", "read", "update", "delete"]
}
path "entra/account" {
  capabilities = ["list"]
}
path "entra/account/*" {
  capabilities = ["list", "read", "update", "delete"]
}
path "entra/import/*" {
  capabilities = ["update"]
}
path "entra/login/*" {
  capabilities = ["read", "update"]
}
