// A page of another site that reaches for an address on this machine: what comes of it, and what it learns.

import { createServer } from 'node:http';
import { once } from 'node:events';

/// How long one way of reaching may take.
const WAY_MAX_MS = 10_000;

// Each is the body of an async function of `target`, run in the attacker's page; it answers what that page learned.
const WAYS = {
  fetch: `
    const answer = await fetch(target, { credentials: 'include' });
    return 'read: ' + await answer.text();`,
  'fetch-no-cors': `
    const answer = await fetch(target, { mode: 'no-cors', credentials: 'include' });
    return answer.type;`,
  'post-no-cors': `
    const answer = await fetch(target, { method: 'POST', mode: 'no-cors', credentials: 'include', body: 'a=b' });
    return answer.type;`,
  image: "return element('img', 'src');",
  script: "return element('script', 'src');",
  style: "return element('link', 'href');",
  frame: `
    const loaded = await element('iframe', 'src');
    const frame = document.querySelector('iframe');
    return loaded + (frame.contentDocument ? ', read: ' + frame.contentDocument.body.innerText : ', closed');`,
  navigation: 'location = target; return "gone";',
};

const page = (way, target) => `<!DOCTYPE html><meta charset="utf-8"><title>attacker</title><body><script>
const target = ${JSON.stringify(target).replaceAll('<', '\\u003c')};
const element = (name, attribute) => new Promise((resolve) => {
  const made = document.createElement(name);
  made.rel = 'stylesheet';
  made.onload = () => resolve('loaded');
  made.onerror = () => resolve('failed');
  made[attribute] = target;
  document.body.append(made);
});
window.outcome = (async () => {${WAYS[way]}})().catch((error) => 'refused: ' + error.message);
</script></body>`;

export async function attack(browser, { target }) {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://attacker.test');
    response.setHeader('content-type', 'text/html; charset=utf-8');
    response.end(page(pathname.slice(1), searchParams.get('target')));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const context = await browser.createBrowserContext();
  try {
    const seen = [];
    for (const way of Object.keys(WAYS)) {
      const from = new URL(`http://attacker.test:${server.address().port}/${way}`);
      from.searchParams.set('target', target);
      seen.push({ way, ...await reach(await context.newPage(), from, target) });
    }
    return { seen };
  } finally {
    await context.close();
    server.close();
  }
}

async function reach(page, from, target) {
  page.setDefaultTimeout(WAY_MAX_MS);
  const told = { status: null, failed: null };
  const ended = new Promise((resolve) => {
    page.on('response', (response) => {
      if (response.url() !== target) return;
      told.status = response.status();
      told.headers = response.headers();
      resolve();
    });
    page.on('requestfailed', (request) => {
      if (request.url() !== target) return;
      told.failed = request.failure().errorText;
      resolve();
    });
    setTimeout(resolve, WAY_MAX_MS).unref();
  });
  await page.goto(from.href, { waitUntil: 'domcontentloaded' });
  // a page that has gone elsewhere has nothing more to say
  const outcome = await page.evaluate(() => window.outcome).catch(() => 'gone');
  await ended;
  await page.close();
  return { outcome, ...told };
}
