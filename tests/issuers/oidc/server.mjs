// A real OAuth 2.0 issuer for the system tests: oidc-provider, on loopback alone.
//
// Prints its port as its first line and ends when its standard input does. Two clients may use the client
// credentials grant, each by the one way of authenticating that it is registered for: `robot-post` and
// `robot-basic`. The query of a request says the lifetime: POST /token?lifetime=36000

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { generateKeyPairSync } from 'node:crypto';
import process from 'node:process';

// the packages lie beside the build, not beside this file
const { default: Provider } = await import(createRequire(process.argv[2]).resolve('oidc-provider'));

const CLIENT_SECRET = 'a secret with spaces, + and %41 &';
const DEFAULT_LIFETIME_S = 86_400;

const client = (id, method) => ({
  client_id: id,
  client_secret: CLIENT_SECRET,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: method,
  scope: 'read write',
});

let handle;
const server = createServer((request, response) => handle(request, response));
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [client('robot-post', 'client_secret_post'), client('robot-basic', 'client_secret_basic')],
    scopes: ['read', 'write'],
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['unused by this grant'] },
    ttl: { ClientCredentials: (ctx) => Number(ctx.query.lifetime) || DEFAULT_LIFETIME_S },
  });
  handle = provider.callback();
  process.stdout.write(`${port}\n`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
