// What a test asks of an issuer beside OAuth, on a path of its own. `authlib/controls.py` answers the same.
//
//   GET  /control                 what happened so far, as JSON
//   POST /control/set?NAME=VALUE  hold=before|after|nothing, rotate=yes|no, refresh_token=yes|no
//   POST /control/release         what is held goes on, and nothing more is held
//   POST /control/drop            the same, but what is held is hung up on: untaken, or without its answer
//   POST /control/revoke          every grant is void
//
// `before` holds a token request that has come whole, and that the issuer knows nothing of yet; `after` holds
// the answer to one that it has taken, with the refresh token rotated.

import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';

/// How long anything is held at most, so that a test that fails leaves nothing behind.
const HOLD_MAX_MS = 60_000;

const sha256 = (text) => createHash('sha256').update(text).digest('hex');

export class Controls {
  settings = { hold: 'nothing', rotate: 'yes', refresh_token: 'yes' };
  seen = { requests: {}, granted: {}, refresh_token_presented: null, refresh_token_issued: null };
  #held = new Set();

  // Answers a control request; `revoke` makes every grant void.
  async answer(method, url, response, revoke) {
    const action = `${method} ${url.pathname}`;
    if (action === 'POST /control/set') Object.assign(this.settings, Object.fromEntries(url.searchParams));
    else if (action === 'POST /control/release') this.#end('release');
    else if (action === 'POST /control/drop') this.#end('drop');
    else if (action === 'POST /control/revoke') await revoke();
    else if (action !== 'GET /control') response.statusCode = 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ ...this.seen, held: this.#held.size }));
  }

  // Lets a token request through to `take`, as the settings say.
  async token(request, response, take) {
    request.body = await buffer(request);
    const form = new URLSearchParams(request.body.toString());
    const grantType = form.get('grant_type');
    count(this.seen.requests, grantType);
    if (form.has('refresh_token')) this.seen.refresh_token_presented = sha256(form.get('refresh_token'));
    if (await this.#hold('before', response)) return;

    const end = response.end.bind(response);
    response.end = async (body) => {
      const answer = this.#judge(grantType, response, body);
      if (await this.#hold('after', response)) return;
      response.setHeader('content-length', Buffer.byteLength(answer));
      end(answer);
    };
    take();
  }

  // Remembers what an answer says, and leaves the refresh token out where it should.
  #judge(grantType, response, body) {
    if (response.statusCode !== 200) return body;
    count(this.seen.granted, grantType);
    const { refresh_token: refreshToken, ...rest } = JSON.parse(body);
    if (!refreshToken) return body;
    this.seen.refresh_token_issued = sha256(refreshToken);
    return this.settings.refresh_token === 'yes' ? body : JSON.stringify(rest);
  }

  // Holds where the settings say so; whether the connection was dropped.
  async #hold(when, response) {
    if (this.settings.hold !== when) return false;
    const { promise, resolve } = withResolvers();
    this.#held.add(resolve);
    const timer = setTimeout(resolve, HOLD_MAX_MS, 'drop');
    const end = await promise;
    clearTimeout(timer);
    this.#held.delete(resolve);
    if (end === 'drop') response.socket?.destroy();
    return end === 'drop';
  }

  #end(how) {
    this.settings.hold = 'nothing';
    for (const resolve of this.#held) resolve(how);
  }
}

// Promise.withResolvers, which Node has from 22 on.
function withResolvers() {
  let resolve;
  const promise = new Promise((give) => { resolve = give; });
  return { promise, resolve };
}

function count(counts, name) {
  counts[name] = (counts[name] ?? 0) + 1;
}
