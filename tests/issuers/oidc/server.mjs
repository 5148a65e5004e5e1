// A real OAuth 2.0 issuer for the system tests: oidc-provider, on loopback alone.
//
// Prints its port as its first line and ends when its standard input does. Two clients may use the client
// credentials grant, each by the one way of authenticating that it is registered for: `robot-post` and
// `robot-basic`. The client `desktop` may use the authorization code grant with PKCE, and refresh tokens that
// rotate: a person consents by a button. The query of a token request says the lifetime:
// POST /token?lifetime=36000. What tests ask beside OAuth is in controls.mjs.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { generateKeyPairSync } from 'node:crypto';
import { text } from 'node:stream/consumers';
import process from 'node:process';
import { Controls } from './controls.mjs';

// the packages lie beside the build, not beside this file
const { default: Provider } = await import(createRequire(process.argv[2]).resolve('oidc-provider'));

const CLIENT_SECRET = 'a secret with spaces, + and %41 &';
const DEFAULT_LIFETIME_S = 86_400;
const DEFAULT_LIFETIME_OF_A_GRANT_S = 3_600;
const PERSON = 'a person';
const GRANTED = ['adwords', 'pubsub'].map((name) => `https://www.googleapis.com/auth/${name}`);

const robot = (id, method) => ({
  client_id: id,
  client_secret: CLIENT_SECRET,
  grant_types: ['client_credentials'],
  response_types: [],
  redirect_uris: [],
  token_endpoint_auth_method: method,
  scope: 'read write',
});

const desktop = {
  client_id: 'desktop',
  client_secret: CLIENT_SECRET,
  application_type: 'native', // any port of a loopback redirect (RFC 8252, section 7.3)
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/oauth2/callback'],
  token_endpoint_auth_method: 'client_secret_post',
  scope: GRANTED.join(' '),
};

const controls = new Controls();
const grants = [];
let provider;

const lifetime = (otherwise) => (ctx) => Number(ctx.query.lifetime) || otherwise;

const configuration = (jwk) => ({
  clients: [robot('robot-post', 'client_secret_post'), robot('robot-basic', 'client_secret_basic'), desktop],
  scopes: ['read', 'write', ...GRANTED],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  jwks: { keys: [{ ...jwk, kid: 'one', use: 'sig', alg: 'RS256' }] },
  cookies: { keys: ['of this run alone'] },
  findAccount: (ctx, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  interactions: { url: (ctx, { uid }) => `/interaction/${uid}` },
  pkce: { required: () => true },
  issueRefreshToken: () => true,
  rotateRefreshToken: () => controls.settings.rotate === 'yes',
  expiresWithSession: () => false,
  ttl: {
    AccessToken: lifetime(DEFAULT_LIFETIME_OF_A_GRANT_S),
    AuthorizationCode: 600,
    ClientCredentials: lifetime(DEFAULT_LIFETIME_S),
    Grant: 86_400,
    Interaction: 3_600,
    RefreshToken: 86_400,
    Session: 3_600,
  },
});

// The page on which a person consents, and what comes of its buttons. Who looks at it is logged in.
async function consent(request, response) {
  const { params } = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page(params.client_id, params.scope));
    return;
  }
  if (new URLSearchParams(await text(request)).get('decision') !== 'allow') {
    await provider.interactionFinished(request, response, { error: 'access_denied' });
    return;
  }
  const grant = new provider.Grant({ accountId: PERSON, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  const grantId = await grant.save();
  grants.push(grant);
  const result = { login: { accountId: PERSON }, consent: { grantId } };
  await provider.interactionFinished(request, response, result);
}

const page = (client, scope) => `<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Consent</title>
<h1>${client} asks for access</h1>
<p>${scope.split(' ').join('<br>')}</p>
<form method="post"><button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>
</html>
`;

async function handle(request, response, oauth) {
  const url = new URL(request.url, 'http://127.0.0.1');
  if (url.pathname.startsWith('/control')) {
    const revoke = () => Promise.all(grants.splice(0).map((grant) => grant.destroy()));
    await controls.answer(request.method, url, response, revoke);
  } else if (url.pathname === '/token' && request.method === 'POST') {
    await controls.token(request, response, () => oauth(request, response));
  } else if (url.pathname.startsWith('/interaction/')) {
    await consent(request, response);
  } else {
    oauth(request, response);
  }
}

let oauth;
const server = createServer((request, response) => {
  handle(request, response, oauth).catch((error) => {
    response.statusCode = error.statusCode ?? 500;
    response.end(`${error.name}: ${error.message}\n`);
  });
});
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  provider = new Provider(`http://127.0.0.1:${port}`, configuration(privateKey.export({ format: 'jwk' })));
  oauth = provider.callback();
  process.stdout.write(`${port}\n`);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
