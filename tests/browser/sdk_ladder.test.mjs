// The ladder in a real browser: down to script tags, and up again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missing } from './given.mjs';
import { given, givenTab, liveOn, send, told } from './sdk_given.mjs';

const skip = missing();
const RUNGS = ['ws', 'stream', 'sse', 'longpoll', 'poll', 'jsonp'];
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

test('a browser climbs from script tags to a WebSocket and back, and nothing is lost', { skip, timeout: 180_000 }, async (t) => {
  const { proxy, profile, url, say } = await given(t, { blocked: RUNGS.slice(0, -1) });
  let said = 0;
  const sayThree = () => say(++said, ++said, ++said);

  const page = await givenTab(profile, url, 'bob', { cursor: '0' });
  for (const rung of [...RUNGS].reverse()) {
    proxy.make('works', rung);
    await page.evaluate(() => client.climb());
    await liveOn(page, rung);
    await sayThree();
    await told(page, said);
  }
  for (const [i, rung] of RUNGS.slice(0, -1).entries()) {
    proxy.make('refuses', rung);
    await liveOn(page, RUNGS[i + 1]);
    await sayThree();
    await told(page, said);
  }
  assert.deepEqual(await told(page, said), upTo(said));
});

test('script tags alone carry a conversation: also what is sent', { skip, timeout: 120_000 }, async (t) => {
  const { profile, url } = await given(t);
  const page = await givenTab(profile, url, 'bob', { transport: 'jsonp', cursor: '0' });
  await liveOn(page, 'jsonp');
  await page.evaluate(() => (window.fetch = undefined));
  await send(page, 'bob', 'by a script tag </script>\u2028', '2');
  assert.deepEqual(await told(page, 2), ['by a script tag </script>\u2028', '2']);
  const error = await page.evaluate(() => client.call('conversation.get', { conversation: '0:2:none' }).catch(({ code }) => code));
  assert.equal(error, 'not_found');
});

test('every rung of a browser, one alone', { skip, timeout: 120_000 }, async (t) => {
  const { profile, url } = await given(t);
  const page = await givenTab(profile, url, 'bob', { cursor: '0' });
  for (const rung of RUNGS) {
    await page.evaluate((name) => client.setTransport(name), rung);
    await liveOn(page, rung);
    await send(page, 'bob', rung);
  }
  assert.deepEqual(await told(page, RUNGS.length), RUNGS);
});
