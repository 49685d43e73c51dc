// Moments at which a page may be on another network: seen again, back from the cache,
// online. A page is faked by the few globals that count.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { givenClimber } from './lib/network.mjs';

let page;

beforeEach(() => {
  page = new EventTarget();
  globalThis.document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  globalThis.addEventListener = page.addEventListener.bind(page);
  globalThis.removeEventListener = page.removeEventListener.bind(page);
});

afterEach(() => {
  delete globalThis.document;
  delete globalThis.addEventListener;
  delete globalThis.removeEventListener;
});

const MOMENTS = {
  visibilitychange: () => document.dispatchEvent(new Event('visibilitychange')),
  pageshow: () => page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true })),
  online: () => page.dispatchEvent(new Event('online')),
};

async function online(...blocked) {
  const given = givenClimber({ tabs: false });
  given.network.make('refuses', ...blocked);
  given.client.start();
  await given.clock.pass(3_000);
  return given;
}

for (const [name, happens] of Object.entries(MOMENTS)) {
  test(`${name}: a wait ends`, async () => {
    const given = await online('ws', 'stream', 'sse', 'longpoll', 'poll', 'jsonp');
    await given.clock.pass(20_000);
    assert.equal(given.client.status.state, 'waiting');
    given.network.make('works', 'ws');
    happens();
    await given.clock.pass(2 * given.network.rttMs);
    assert.equal(given.client.status.transport, 'ws');
  });

  test(`${name}: what rests is probed`, async () => {
    const given = await online('ws');
    assert.equal(given.client.status.transport, 'stream');
    given.network.make('works', 'ws');
    happens();
    await given.clock.pass(2 * given.network.rttMs);
    assert.equal(given.client.status.transport, 'ws');
  });

  test(`${name}: a live stream that says nothing is opened anew beside itself`, async () => {
    const given = await online();
    await given.clock.pass(10_000);
    given.network.make('hangs', 'ws'); // dead, and nobody has noticed
    given.network.makeNext('works', 'ws');
    given.network.append(3);
    await given.clock.pass(1_000);
    assert.deepEqual(given.told, []);
    happens();
    await given.clock.pass(2 * given.network.rttMs);
    assert.deepEqual(given.told, [11, 12, 13]);
    assert.deepEqual(given.network.opened.map((one) => one.name), ['ws', 'ws']);
  });
}

test('a doubt that proves right is a fall to the next rung, at once', async () => {
  const given = await online();
  await given.clock.pass(10_000);
  given.network.make('hangs', 'ws');
  given.network.makeNext('refuses', 'ws');
  given.network.append(1);
  MOMENTS.online();
  await given.clock.pass(1_000);
  assert.equal(given.client.status.transport, 'stream');
  assert.deepEqual(given.told, [11]);
});

test('a hidden page, and one that is shown for the first time, do nothing', async () => {
  const given = await online();
  await given.clock.pass(10_000);
  document.visibilityState = 'hidden';
  MOMENTS.visibilitychange();
  page.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: false }));
  await given.clock.pass(1_000);
  assert.equal(given.network.opened.length, 1);
});

test('a wait that the server asked for is kept', async () => {
  const given = await online();
  given.network.dismiss({ reason: 'draining', retry_after_ms: 5_000 });
  MOMENTS.online();
  await given.clock.pass(4_999);
  assert.equal(given.network.opened.length, 1);
  await given.clock.pass(1);
  assert.equal(given.network.opened.length, 2);
});

test('a closed client does not wake', async () => {
  const given = await online();
  given.client.close();
  for (const happens of Object.values(MOMENTS)) happens();
  await given.clock.pass(10_000);
  assert.equal(given.network.opened.length, 1);
});
