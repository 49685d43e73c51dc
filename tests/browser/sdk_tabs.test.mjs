// The tabs of one browser share one stream, so that its six connections per host are
// enough for any number of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { eventually } from '../lib/wait.mjs';
import { missing } from './given.mjs';
import { given, givenTab, liveOn, role, send, told } from './sdk_given.mjs';

const skip = missing();
const TABS = 8;

async function givenTabs(t, options) {
  const scene = await given(t, options);
  const tabs = [];
  const openTabs = async (count) => {
    while (tabs.length < count) tabs.push(await givenTab(scene.profile, scene.url, 'bob'));
  };
  return { ...scene, tabs, openTabs };
}

const carriers = async (server) => (await server.metric('rung_carriers')) ?? 0;

test('eight tabs, one stream: each is told of all; the next leads when the leader goes', { skip, timeout: 180_000 }, async (t) => {
  const { server, say, tabs, openTabs } = await givenTabs(t, { blocked: ['ws'] });
  await openTabs(1);
  await liveOn(tabs[0], 'stream');
  await openTabs(TABS);
  for (const tab of tabs.slice(1)) await liveOn(tab, 'tab');
  assert.deepEqual(await Promise.all(tabs.map(role)), ['leader', ...Array(TABS - 1).fill('follower')]);
  await eventually(async () => (await carriers(server)) === 1, 'one carrier at the server');

  await say('one', 'two');
  for (const tab of tabs) assert.deepEqual(await told(tab, 2), ['one', 'two']);
  await send(tabs[5], 'bob', 'three, from a follower');
  for (const tab of tabs) assert.equal((await told(tab, 3))[2], 'three, from a follower');

  await tabs.shift().close();
  await say('four'); // nobody may lead at this moment
  await eventually(async () => (await Promise.all(tabs.map(role))).includes('leader'), 'another leads', 20_000);
  await say('five');
  for (const tab of tabs)
    assert.deepEqual(await told(tab, 5), ['one', 'two', 'three, from a follower', 'four', 'five']);
  await eventually(async () => (await carriers(server)) === 1, 'one carrier again');
});

test('a tab that comes later and was behind fills its hole', { skip, timeout: 120_000 }, async (t) => {
  const { say, tabs, openTabs, profile, url } = await givenTabs(t);
  await openTabs(1);
  await liveOn(tabs[0], 'ws');
  await say('a', 'b', 'c');
  await told(tabs[0], 3);
  const late = await givenTab(profile, url, 'bob', { cursor: '0' });
  await liveOn(late, 'tab');
  await say('d');
  assert.deepEqual(await told(late, 4), ['a', 'b', 'c', 'd']);
});

for (const [what, gone] of [['locks', "Object.defineProperty(Navigator.prototype, 'locks', { value: undefined })"],
  ['channels', 'delete globalThis.BroadcastChannel'],
  ['leave to lock', "LockManager.prototype.request = () => Promise.reject(new DOMException('', 'SecurityError'))"]])
  test(`without ${what} no tab keeps a request open: WebSocket, else polls`, { skip, timeout: 120_000 }, async (t) => {
    const { proxy, say, tabs, openTabs } = await givenTabs(t, { before: gone, blocked: ['ws'] });
    await openTabs(TABS);
    for (const tab of tabs) await liveOn(tab, 'poll');
    await say('hello');
    for (const tab of tabs) assert.deepEqual(await told(tab, 1), ['hello']);
    for (const rung of ['stream', 'sse', 'longpoll']) assert.equal(proxy.asked.get(rung), undefined);
    proxy.make('works', 'ws');
    await tabs[0].evaluate(() => client.climb());
    await liveOn(tabs[0], 'ws');
  });
