// Pages of one browser that have nothing but the SDK. A proxy serves page and SDK from
// the disk, so that a page can be opened while the server is away.

import { readFile } from 'node:fs/promises';
import { RungProxy } from '../lib/rung_proxy.mjs';
import { givenBrowser, givenServer, PATIENCE_MS } from './given.mjs';

const web = new URL('../../web', import.meta.url);

async function fromDisk(path) {
  if (path === '/blank') return { type: 'text/html', body: '<!DOCTYPE html><title>SDK</title>' };
  if (!/^\/(rung\.js|(rung|carry)\/\w+\.js)$/.test(path)) return undefined;
  return { type: 'text/javascript', body: await readFile(new URL(`${web}${path}`)) };
}

/** A server, a proxy before it, a browser profile whose pages are tabs that share locks
 * and storage, and alice, who says what she is told to. */
export async function given(t, { before, blocked = [] } = {}) {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const proxy = await RungProxy.open(server.port);
  t.after(() => proxy.close());
  proxy.serves = fromDisk;
  proxy.make('page', ...blocked);
  const profile = await browser.newContext();
  profile.setDefaultTimeout(PATIENCE_MS);
  if (before) await profile.addInitScript(before);
  const token = await server.login('alice');
  const say = async (...bodies) => {
    for (const body of bodies) await server.call('message.send', { to: 'bob', body }, { token });
  };
  return { server, proxy, profile, url: proxy.url, say };
}

/** A tab of `user`. In the page: `client`, and `told`, what it was told, in order. */
export async function givenTab(profile, url, user, options = {}) {
  const page = await profile.newPage();
  await open(page, url, user, options);
  return page;
}

/** The same page anew, with nothing but what the browser has kept. */
export async function open(page, url, user, options = {}) {
  await page.goto(`${url}/blank`);
  await page.evaluate(async ({ user, options }) => {
    const { RungClient } = await import('/rung.js');
    const known = JSON.parse(localStorage.getItem('session'));
    const getToken = async () => { // a page that comes back has the old token, and a way to another
      const answer = await fetch('/v1/demo.login', { method: 'POST', body: JSON.stringify({ user }) });
      return (await answer.json()).token;
    };
    window.client = new RungClient({ device: 'browser', pollMs: 100, user: known?.user, token: known?.token, getToken, ...options });
    if (!known) localStorage.setItem('session', JSON.stringify(await client.login(user)));
    window.told = [];
    window.sent = [];
    client.on('message', (message) => told.push(message));
    client.on('sent', (message) => sent.push(message));
    client.start();
    await client.ready;
  }, { user, options });
}

export const liveOn = (page, transport) =>
  page.waitForFunction((name) => client.status.transport === name, transport);

export const role = (page) => page.evaluate(() => client.status.role);

/** Wait for `count` messages; their texts, in the order told. */
export async function told(page, count) {
  await page.waitForFunction((least) => window.told.length >= least, count);
  return page.evaluate(() => window.told.map(({ body }) => body));
}

export const send = (page, to, ...bodies) => page.evaluate(async ({ to, bodies }) => {
  for (const body of bodies) await client.sendMessage({ to, body });
}, { to, bodies });
