# A person signs in to the account that bears the name of their Vault identity,
# and reads its tokens. Give account_binding=username to the mount, so that a link
# sent to somebody else never puts that person's tokens here.
path "entra/login/{{identity.entity.name}}" {
  capabilities = ["read", "update"]
  denied_parameters = {
    "scopes"        = []
    "redirect_uri"  = []
    "response_mode" = []
    "claims"        = []
  }
}
path "entra/callback/{{identity.entity.name}}" {
  capabilities = ["update"]
}
path "entra/token/{{identity.entity.name}}" {
  capabilities = ["read", "update"]
}
path "entra/token/{{identity.entity.name}}/+" {
  capabilities = ["read", "update"]
}
path "entra/check/{{identity.entity.name}}" {
  capabilities = ["read"]
}
path "entra/check/{{identity.entity.name}}/+" {
  capabilities = ["read"]
}
path "entra/account/{{identity.entity.name}}" {
  capabilities = ["read"]
}
