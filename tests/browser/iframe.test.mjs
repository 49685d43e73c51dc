// The forever iframe in a real browser: a page listens, bodies stay bodies, and
// a page that may not frame it does not.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { givenBrowser, givenServer, missing } from './given.mjs';
import { eventually } from '../lib/wait.mjs';

const skip = missing();

const evil = [
  '</script><!--',
  '</script><script>parent.broken = true</script>',
  '<!--<script>',
  ']]>&lt;\u2028\u2029\\u003c"\'',
];

async function given(t) {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const token = await server.login('bob');
  const { ticket } = await server.call('ticket', {}, { token });
  const page = await browser.newPage();
  const src = `${server.url}/v1/iframe?cursor=0&callback=rung.$on&ticket=${ticket}`;
  return { server, page, src, alice: await server.login('alice') };
}

/** Put the iframe into the page, and note what it calls. */
const frame = (page, src) => page.evaluate((url) => {
  window.heard = [];
  window['rung.$on'] = (events) => window.heard.push(...events);
  const iframe = document.createElement('iframe');
  iframe.src = url;
  document.body.append(iframe);
}, src);

test('a page hears every body through an iframe, and none breaks out', { skip, timeout: 60_000 }, async (t) => {
  const { server, page, src, alice } = await given(t);
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  const say = (text) => server.call('message.send', { to: 'bob', body: { text } }, { token: alice });
  const texts = () => page.evaluate(() =>
    window.heard.filter(({ event }) => event === 'message').map(({ body }) => body.text));

  await say('before');
  await page.goto(`${server.url}/chat.html`); // of its origin, and still
  await frame(page, src);
  await eventually(async () => (await texts()).length === 1, 'the first batch is heard');
  for (const text of evil) await say(text);
  await eventually(async () => (await texts()).length === 1 + evil.length, 'all is heard');
  assert.deepEqual(await texts(), ['before', ...evil]);
  assert.equal(await page.evaluate(() => window.heard[0].event), 'hello');
  assert.equal(await page.evaluate(() => window.broken), undefined);
  assert.deepEqual(errors, []);
});

test('a page of an origin that is not listed does not frame it', { skip, timeout: 60_000 }, async (t) => {
  const { server, page, src } = await given(t);
  const other = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!DOCTYPE html><body>');
  });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => other.close());
  const blocked = new Promise((resolve) => page.on('console', (message) => {
    if (/frame-ancestors|X-Frame-Options/i.test(message.text())) resolve(message.text());
  }));

  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  await frame(page, src);
  assert.match(await blocked, /frame/i);
  assert.deepEqual(await page.evaluate(() => window.heard), []);
  assert.ok(server.running);
});
