// SPDX-License-Identifier: MPL-2.0
//
// node server.mjs PORT REDIRECT_URI: an OpenID provider on http://localhost:PORT.
// Anybody can sign in by any name. Refresh tokens come with prompt=consent only,
// rotate at each use, and one that is used twice ends the grant.

import Provider from 'oidc-provider';

const [port, redirectURI] = process.argv.slice(2);

const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: 'vault',
    client_secret: 'the-secret-of-the-tests-client',
    token_endpoint_auth_method: 'client_secret_post',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectURI],
    application_type: 'native',
  }],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], profile: ['preferred_username', 'name'] },
  ttl: { AccessToken: 60, RefreshToken: 3600 },
  cookies: { keys: ['only-for-tests'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: `${id}@provider.example`, name: id }),
  }),
});

provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
