// Signing in by a QR code: a page shows it, a phone reads it and agrees.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { givenBrowser, givenPage, givenServer, givenUser, missing } from './given.mjs';

const skip = missing();
const PIXELS = 4; // of a module

/* What a camera would read: the drawing as pixels, through a decoder that is not ours. */
async function readCode(page) {
  const jsQR = createRequire(import.meta.url)('jsqr');
  const { path, box } = await page.$eval('#qr-code svg', (svg) => ({ path: svg.firstChild.getAttribute('d'), box: svg.getAttribute('viewBox') }));
  const [origin, , size] = box.split(' ').map(Number);
  const width = size * PIXELS;
  const pixels = new Uint8ClampedArray(width * width * 4).fill(255);
  for (const [, x, y] of path.matchAll(/M(\d+) (\d+)h1v1h-1z/g))
    for (let dy = 0; dy < PIXELS; dy++)
      for (let dx = 0; dx < PIXELS; dx++) {
        const at = (((Number(y) - origin) * PIXELS + dy) * width + (Number(x) - origin) * PIXELS + dx) * 4;
        pixels.fill(0, at, at + 3);
      }
  return jsQR(pixels, width, width).data;
}

async function given(t) {
  const server = await givenServer((done) => t.after(done));
  const browser = await givenBrowser((done) => t.after(done));
  const page = await givenPage(browser, `${server.url}/chat.html`);
  await page.click('#qr-open');
  await page.waitForSelector('#qr-code svg');
  return { server, browser, page, url: await readCode(page) };
}

test('a phone that is signed in signs a page in', { skip, timeout: 120_000 }, async (t) => {
  const { server, browser, page, url } = await given(t);
  const phone = await givenUser(browser, server, 'mei', { viewport: { width: 390, height: 780 } });

  assert.match(url, /\/chat\.html#login=[0-9a-f]{32}$/);
  await phone.goto(url); // another fragment: the page stays
  await phone.reload();
  await phone.waitForSelector('#approve-dialog[open]');
  assert.match(await phone.textContent('#approve-text'), /Chrome, Linux wants to sign in as mei/);
  assert.ok(!phone.url().includes('login='), 'the code does not stay in the address');
  await page.waitForSelector('#qr-state:has-text("mei has scanned it")');
  await phone.click('#approve-yes');
  await page.waitForSelector('#app:not([hidden])');
  assert.equal(await page.textContent('#me'), 'mei');
  await page.reload();
  await page.waitForSelector('#app:not([hidden])');
  assert.equal(await page.textContent('#me'), 'mei', 'it stays signed in');
  assert.deepEqual([...page.complaints, ...phone.complaints], []);
});

test('a phone that refuses leaves the page with another code', { skip, timeout: 120_000 }, async (t) => {
  const { server, browser, page, url } = await given(t);
  const phone = await givenPage(browser, url); // not signed in yet: first by name

  await phone.fill('#login-name', 'mei');
  await phone.click('#login-button');
  await phone.waitForSelector('#approve-dialog[open]');
  const shown = await page.getAttribute('#qr-code a', 'href');
  await phone.click('#approve-no');
  await page.waitForFunction((old) => document.querySelector('#qr-code a').href !== old, shown);
  assert.ok(await page.locator('#app').isHidden());
  await server.call('login.read', { code: url.slice(-32) }, { token: await server.login('mei') })
    .then(() => assert.fail('a refused code is no more'), ({ code }) => assert.equal(code, 'not_found'));
});
