// Walks Debian's Chromium, headless, through pages for the system tests, by puppeteer-core.
//
//   walk.mjs PACKAGE_JSON CHROMIUM PROFILE
//
// Says `{"ready":true}`, then answers each line of JSON on its standard input by one, in order, and ends when its
// input does. What goes wrong is answered as `{"error": …}`. Every name under `.test` is this machine.
//
//   {"do":"walk","url":U,"choice":"Allow"|"Deny"|null,"scripts":true|false,"pictures":{"390":"a.png",…}}
//       opens U in a session of its own, presses the button, and says where that ended
//   {"do":"attack","target":U}
//       opens a page of another site that reaches for U in every way it can, and says what it saw

import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { writeFile } from 'node:fs/promises';
import process from 'node:process';
import { attack } from './attack.mjs';

const [, , packages, chromium, profile] = process.argv;
const { default: puppeteer } = await import(createRequire(packages).resolve('puppeteer-core'));

/// How long one step may take, and one command.
const STEP_MAX_MS = 20_000;
const COMMAND_MAX_MS = 100_000;

const WIDTHS = [390, 1280];
const HEIGHT = 844;

async function walk(browser, { url, choice, scripts, pictures }) {
  const context = await browser.createBrowserContext();
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(STEP_MAX_MS);
    await page.setJavaScriptEnabled(scripts);
    const told = await watch(page, scripts);
    await arrive(page.goto(url));
    if (choice) {
      const button = await page.waitForSelector(`button::-p-text(${choice})`);
      await Promise.all([arrive(page.waitForNavigation()), button.click()]);
    }
    const end = told();
    if (end.failed) return end; // what the tab shows now is the browser's own page
    return { ...end, page: { ...await look(page), widths: await measure(page, pictures) } };
  } finally {
    await context.close();
  }
}

// Waits for a navigation; one that failed is told by the requests that were watched.
async function arrive(navigation) {
  await navigation.catch((error) => {
    if (!error.message.includes('net::ERR_')) throw error;
  });
}

// Remembers what the page in the tab was asked for with, and what it asked for and ran itself.
async function watch(page, scripts) {
  let navigation;
  let requests = [];
  let ran = [];
  page.on('request', (request) => {
    const { referer = null } = request.headers();
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) {
      navigation = request;
      [requests, ran] = [[], []];
    } else if (!navigation.failure()) {
      requests.push({ url: request.url(), kind: request.resourceType(), referer });
    }
  });
  if (scripts) {
    const debug = await page.createCDPSession();
    debug.on('Debugger.scriptParsed', ({ url }) => {
      // what the page itself runs has its address; what puppeteer runs has none, or one of its own
      if (url.startsWith('http')) ran.push(url);
    });
    await debug.send('Debugger.enable');
  }
  return () => ({
    address: navigation.url(),
    status: navigation.response()?.status() ?? null,
    headers: navigation.response()?.headers() ?? {},
    failed: navigation.failure()?.errorText ?? null,
    redirects: navigation.redirectChain().map((hop) => ({ url: hop.url(), status: hop.response().status() })),
    requests,
    ran,
  });
}

// What a person sees, and what a script would.
async function look(page) {
  const history = await page.createCDPSession().then((session) => session.send('Page.getNavigationHistory'));
  const seen = await page.evaluate(() => ({
    title: document.title,
    text: document.body.innerText,
    referrer: document.referrer,
    scripts: document.scripts.length,
    handlers: [...document.querySelectorAll('*')]
      .filter((element) => element.getAttributeNames().some((name) => name.startsWith('on'))).length,
  }));
  return { ...seen, history: history.entries.map((entry) => entry.url) };
}

// How wide the page is in windows of several widths, the first as a phone's; and pictures of it.
async function measure(page, pictures) {
  const session = await page.createCDPSession();
  const widths = [];
  for (const width of WIDTHS) {
    const phone = width < 600;
    const metrics = { width, height: HEIGHT, deviceScaleFactor: 1, mobile: phone };
    await session.send('Emulation.setDeviceMetricsOverride', metrics);
    const content = await page.evaluate(() => document.documentElement.scrollWidth);
    widths.push({ window: width, content });
    if (pictures[width]) {
      // puppeteer's own screenshot would set its own metrics first
      const { data } = await session.send('Page.captureScreenshot');
      await writeFile(pictures[width], Buffer.from(data, 'base64'));
    }
  }
  return widths;
}

const browser = await puppeteer.launch({
  executablePath: chromium,
  userDataDir: profile,
  pipe: true, // the browser ends with this process, however that ends
  env: { PATH: process.env.PATH, HOME: profile },
  args: [
    ...(process.getuid() === 0 ? ['--no-sandbox'] : []), // root has no sandbox
    '--disable-dev-shm-usage', // containers have little of it
    '--disable-gpu',
    '--host-resolver-rules=MAP *.test 127.0.0.1',
  ],
});
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const commands = { walk, attack };

async function obey(line) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${COMMAND_MAX_MS} ms`)), COMMAND_MAX_MS);
  });
  const command = JSON.parse(line);
  try {
    say(await Promise.race([commands[command.do](browser, command), late]));
  } catch (error) {
    say({ error: `${error.message}` });
  } finally {
    clearTimeout(timer);
  }
}

say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) await obey(line);
await browser.close();
process.exit(0);
