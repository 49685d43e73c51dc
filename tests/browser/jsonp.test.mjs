// JSONP in a real browser: a page of another origin reads and writes with script
// tags alone.

import assert from 'node:assert/strict';
import http from 'node:http';
import { test } from 'node:test';
import { givenBrowser, givenServer, missing } from './given.mjs';

const skip = missing();

test('a page of another origin talks with script tags', { skip, timeout: 60_000 }, async (t) => {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const token = await server.login('bob');
  const other = http.createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!DOCTYPE html><body>');
  });
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  t.after(() => other.close());

  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(`http://127.0.0.1:${other.address().port}/`);
  const load = (path, query = {}) => page.evaluate((url) => new Promise((resolve, reject) => {
    const script = document.createElement('script');
    window.app = { on: resolve };
    script.src = url;
    script.onerror = () => reject(new Error('the script was not run'));
    document.body.append(script);
  }), `${server.url}/v1/${path}?${new URLSearchParams({ callback: 'app.on', access_token: token, ...query })}`);

  const text = '</script><!-- \u2028\u2029 &amp; 你好';
  const sent = await load('jsonp/message.send', { params: JSON.stringify({ to: 'bob', body: { text } }) });
  assert.equal(sent.seq, 1);
  const { events, cursor } = await load('jsonp', { cursor: '0' });
  assert.equal(events[0].body.text, text);
  assert.equal(cursor, sent.cursor);
  assert.equal((await load('jsonp', { access_token: 'no' })).error.code, 'unauthorized');
  assert.deepEqual(errors, []);
});
