// oidc-provider, a certified OpenID provider, on loopback for the interop tests. Requires Node 20 and `npm ci`.
//
//     node server.mjs [--jwt-client ID=ALG=CERT.pem]... [--redirect-uri URI]...
//
// Prints `ready http://127.0.0.1:PORT` and runs until its standard input is closed. Stores everything in memory. The clients:
//   each ID of --jwt-client   client_credentials by private_key_jwt; ALG is RS256, PS256 or ES256; the PEM is the certificate
//   service-basic, service-post   client_credentials by the secret `s3cret +%&=:`, registered for Basic and for the body;
//                             this provider accepts the other method, too
//   app                       public; authorization_code with PKCE S256, refresh_token with rotation; the pages accept any
//                             login name and password; its redirect URIs are those of --redirect-uri
// Scopes: openid, offline_access, api:read, api:write. The token URL is /token, the authorization URL /auth.

import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import Provider from 'oidc-provider';

const { values: options } = parseArgs({
  options: {
    'jwt-client': { type: 'string', multiple: true, default: [] },
    'redirect-uri': { type: 'string', multiple: true, default: [] },
  },
});

const credentials = { grant_types: ['client_credentials'], response_types: [], redirect_uris: [] };

function jwtClient(text) {
  const [id, alg, file] = text.split('=');
  const key = new X509Certificate(readFileSync(file)).publicKey;
  return {
    ...credentials,
    client_id: id,
    token_endpoint_auth_method: 'private_key_jwt',
    token_endpoint_auth_signing_alg: alg,
    jwks: { keys: [{ ...key.export({ format: 'jwk' }), use: 'sig', alg }] },
  };
}

const secretClient = (id, method) => (
  { ...credentials, client_id: id, client_secret: 's3cret +%&=:', token_endpoint_auth_method: method }
);

const app = {
  client_id: 'app',
  application_type: 'native',
  token_endpoint_auth_method: 'none',
  grant_types: ['authorization_code', 'refresh_token'],
  redirect_uris: options['redirect-uri'],
};

// The issuer URL contains the port, so the server must listen first.
const server = createServer().listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(url, {
  clients: [
    ...options['jwt-client'].map(jwtClient),
    secretClient('service-basic', 'client_secret_basic'),
    secretClient('service-post', 'client_secret_post'),
    ...(app.redirect_uris.length > 0 ? [app] : []),
  ],
  scopes: ['openid', 'offline_access', 'api:read', 'api:write'],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: true } },
  enabledJWA: { clientAuthSigningAlgValues: ['RS256', 'PS256', 'ES256'] },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (_context, client) => client.grantTypeAllowed('refresh_token'),
  cookies: { keys: ['for tests only'] },
});

server.on('request', provider.callback());
console.log('ready', url);
process.stdin.resume().on('end', () => process.exit(0));
