// The chat window on somebody else's page: of another origin, with styles that want to
// break it and a policy that allows nothing that need not be.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { test } from 'node:test';
import { Server } from '../lib/server.mjs';
import { sign } from '../lib/token.mjs';
import { eventually } from '../lib/wait.mjs';
import { givenBrowser, givenPage, missing } from './given.mjs';

const skip = missing();

/* What a careless page does to everything on it. */
const HOSTILE = `* { display: none !important; position: static !important; opacity: .1 !important; transform: rotate(9deg) !important;
  color: lime !important; font: 40px fantasy !important; width: 3px !important; visibility: hidden !important; }
  html, body, p { display: block !important; visibility: visible !important; }
  iframe, button, div { all: unset !important; height: 1px !important; }`;

async function expired(server) {
  const secret = (await readFile(path.join(server.dir, 'demo.key'), 'utf8')).trim();
  return sign({ sub: 'visitor', app: 'demo', exp: Math.floor(Date.now() / 1000) - 60 }, secret);
}

const escaped = (text) => text.replace(/"/g, '&quot;');

/* Another origin: another port of another name. */
async function givenHost(t, page) {
  const server = http.createServer((request, response) => {
    response.setHeader('Content-Type', 'text/html; charset=utf-8');
    response.setHeader('Content-Security-Policy', page.policy);
    response.end(page.html);
  });
  server.listen(0, 'localhost');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://localhost:${server.address().port}`;
}

async function given(t, { options = {}, allowed = true, user = 'visitor', css = HOSTILE, early = false } = {}) {
  const page = { policy: '', html: '' };
  const url = await givenHost(t, page);
  const server = await Server.start({ args: allowed ? ['--allowed-origins', url] : [] });
  t.after(() => server.finish());
  const browser = await givenBrowser((done) => t.after(done));
  const token = await server.login(user);
  const all = { app: 'demo', token, ...options };
  if (typeof all.token === 'function') all.token = await all.token(server);
  const data = Object.entries(all).map(([name, value]) => `data-${name}="${escaped(value)}"`);
  const script = `<script src="${server.url}/rung-embed.js" ${data.join(' ')}></script>`;
  page.policy = `default-src 'none'; script-src ${server.url}; frame-src ${server.url}; style-src 'unsafe-inline'`;
  page.html = `<!doctype html><html lang="en"><title>Shop</title><style>${css}</style><p>We sell ladders.</p>
    ${early ? `${script}<div id="here"></div>` : `<div id="here"></div>${script}`}`;
  return { url, server, browser, token, page: await givenPage(browser, url) };
}

/* A closed shadow root is closed to scripts of the page, these of the test too: so the
 * window is found by where it is on the screen, and what is in it by its frame. */
const chatOf = (page) => eventually(() => page.frames().find((frame) => frame.url().includes('/chat.html')), 'the window loads', 20_000);
const launch = (page) => page.mouse.click(page.viewportSize().width - 48, page.viewportSize().height - 48);

test('one line gives a page a chat, whatever its styles', { skip, timeout: 120_000 }, async (t) => {
  const { page, server, token } = await given(t, { options: { to: 'support', title: 'Ask us' } });

  assert.ok(!page.frames().some((frame) => frame.url().includes('/chat.html')), 'nothing is loaded before it is asked for');
  await launch(page);
  const chat = await chatOf(page);
  await chat.waitForSelector('#composer:not([hidden])');
  const box = await (await chat.frameElement()).boundingBox();
  assert.ok(box.width > 300 && box.height > 400, `it has its size: ${JSON.stringify(box)}`);
  await chat.fill('#composer-text', 'Do you have one of ten metres?');
  await chat.press('#composer-text', 'Enter');
  await chat.waitForSelector('.message[data-state="stored"], .message[data-state="delivered"]');
  assert.equal(await chat.textContent('#chat-title'), 'support');
  assert.ok(await chat.locator('#sidebar').isHidden(), 'one conversation, and no way to others');

  const support = await server.login('support');
  await server.call('message.send', { to: 'visitor', body: { text: 'Even twelve.' } }, { token: support });
  await chat.waitForSelector('.text:text-is("Even twelve.")');
  assert.deepEqual(await chat.evaluate(() => getComputedStyle(document.querySelector('.text')).color === 'rgb(0, 255, 0)'), false);

  assert.ok(!(await page.content()).replace(`data-token="${token}"`, '').includes(token), 'the token is in no URL and nowhere else');
  assert.deepEqual(page.complaints, []);
});

test('what is unread is told to the page, and opened by it', { skip, timeout: 120_000 }, async (t) => {
  const { page, server } = await given(t, { options: { open: 'true' } });
  const chat = await chatOf(page);

  await chat.waitForSelector('#status[data-state="online"]');
  await page.evaluate(() => {
    window.heard = [];
    addEventListener('rung-unread', ({ detail }) => window.heard.push(detail.unread));
    window.RungEmbed.close();
  });
  const support = await server.login('support');
  await server.call('message.send', { to: 'visitor', body: { text: 'Still there?' } }, { token: support });
  await eventually(() => page.evaluate(() => window.heard.at(-1) === 1), 'one is unread');
  await page.evaluate(() => window.RungEmbed.open());
  await chat.waitForSelector('[data-unread="1"]');
});

test('the page around cannot look into the window', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t, { options: { open: 'true' } });
  const chat = await chatOf(page);

  await chat.waitForSelector('#app:not([hidden])');
  assert.deepEqual(await page.evaluate(() => ({
    roots: [...document.querySelectorAll('*')].filter((element) => element.shadowRoot).length,
    frames: window.length + document.querySelectorAll('iframe').length,
  })), { roots: 0, frames: 0 }, 'it does not even see that there is a frame');
  const reached = await (await chat.frameElement()).evaluate((frame) => {
    try {
      return frame.contentWindow.document.title;
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(reached, 'SecurityError', 'and if it did');
});

test('a page that is not on the list shows no chat', { skip, timeout: 120_000 }, async (t) => {
  const { page } = await given(t, { allowed: false, options: { open: 'true' } });

  await eventually(() => page.complaints.some((text) => /frame-ancestors/.test(text)), 'the browser refuses to frame it', 20_000);
  assert.ok(page.frames().slice(1).every((frame) => !frame.url().includes('/chat.html') || frame.url().startsWith('chrome-error')));
});

test('a token of another app, or one that is no good, opens nothing', { skip, timeout: 180_000 }, async (t) => {
  for (const options of [{ app: 'shop' }, { token: 'nonsense' }]) {
    const { page } = await given(t, { options: { ...options, to: 'support' } });
    await page.evaluate(() => addEventListener('rung-refused', ({ detail }) => { window.why = detail.why; }));
    await page.evaluate(() => addEventListener('rung-token', ({ detail }) => detail.setToken('still nonsense')));
    await launch(page);
    await eventually(() => page.evaluate(() => window.why), `it is refused: ${JSON.stringify(options)}`, 30_000);
  }
});

test('a token that has expired is asked for anew', { skip, timeout: 120_000 }, async (t) => {
  const { page, server } = await given(t, { options: { to: 'support', token: (server) => expired(server) } });
  const fresh = await server.login('visitor');

  await page.evaluate((token) => addEventListener('rung-token', ({ detail }) => detail.setToken(token)), fresh);
  await launch(page);
  const chat = await chatOf(page);
  await chat.waitForSelector('#status[data-state="online"]');
  assert.equal(await chat.textContent('#chat-title'), 'support');
});

for (const early of [false, true])
  test(`in a place of the page, too${early ? ', that comes behind the script' : ''}`, { skip, timeout: 120_000 }, async (t) => {
    const { page } = await given(t, { early, css: '#here { width: 500px } * { color: lime !important }',
      options: { target: '#here', height: '420px', lang: 'zh', theme: 'dark' } });
    const chat = await chatOf(page);

    await chat.waitForSelector('#app:not([hidden])');
    const box = await (await chat.frameElement()).boundingBox();
    assert.ok(Math.abs(box.height - 420) < 3, JSON.stringify(box));
    assert.equal(await chat.getAttribute('html', 'data-theme'), 'dark');
    assert.equal(await chat.textContent('#conversations-empty strong'), '这里还没有人');
  });
