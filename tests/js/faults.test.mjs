// The client over a network that fails below HTTP: resets at every sort of byte, delay,
// half-open connections, idle cuts. Heartbeats and cuts are scaled down together.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { RungClient } from '../../web/rung.js';
import { Proxy } from '../lib/proxy.mjs';
import { RUNG_BIN, Server } from '../lib/server.mjs';
import { eventually } from '../lib/wait.mjs';

const skip = existsSync(RUNG_BIN) ? false : `${RUNG_BIN} is not built`;
const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

async function given(t, { env, ...options } = {}) {
  const server = await Server.start({ env: { RUNG_CONNECTION_RATE: '1000000', RUNG_USER_RATE: '1000000', ...env } });
  t.after(() => server.finish());
  const proxy = await Proxy.open(server.port);
  t.after(() => proxy.close());
  const bob = new RungClient({ url: proxy.url, device: 'bob-phone', cursor: '0', pollMs: 20, WebSocket, EventSource,
    random: () => 0.01, ...options });
  t.after(() => bob.close());
  await bob.login('bob');
  bob.told = [];
  bob.states = [];
  bob.on('message', ({ seq }) => bob.told.push(seq));
  bob.on('status', ({ state }) => state !== bob.states.at(-1) && bob.states.push(state));
  const token = await server.login('alice');
  let sent = 0;
  const say = async (count) => {
    for (let i = 0; i < count; i++) await server.call('message.send', { to: 'bob', body: ++sent }, { token });
  };
  const toldAll = () => eventually(() => bob.told.length >= sent, () => `told ${bob.told.length} of ${sent}`, 20_000);
  return { server, proxy, bob, say, toldAll };
}

for (const transport of ['auto', 'ws', 'stream', 'sse'])
  test(`${transport}: reset at one byte after the other, nothing is lost or doubled`, { skip, timeout: 120_000 }, async (t) => {
    const { proxy, bob, say, toldAll } = await given(t, { transport });
    await say(30);
    let bytes = 90;
    proxy.resetAfter(bytes);
    proxy.budget = () => (bytes += 37); // each connection gets a little further
    bob.start();
    await eventually(() => proxy.cuts >= 20 || bob.told.length === 30, 'twenty resets', 60_000);
    proxy.heal();
    await say(1);
    await toldAll();
    assert.deepEqual(bob.told, upTo(31));
    assert.ok(proxy.cuts > 3, `${proxy.cuts} resets`);
    t.diagnostic(`${proxy.cuts} resets`);
  });

test('a slow network lands on the best rung, too', { skip, timeout: 60_000 }, async (t) => {
  const { proxy, bob, say, toldAll } = await given(t);
  proxy.delay(150);
  bob.start();
  await eventually(() => bob.status.transport === 'ws', 'on ws', 20_000);
  await say(5);
  await toldAll();
  assert.deepEqual(bob.told, upTo(5));
});

test('a half-open connection is found out by the heartbeats that do not come', { skip, timeout: 60_000 }, async (t) => {
  const { proxy, bob, say, toldAll } = await given(t, { env: { RUNG_HEARTBEAT_MS: '500' } });
  bob.start();
  await eventually(() => bob.status.transport === 'ws', 'on ws', 20_000);
  await say(3);
  await toldAll();
  proxy.halfOpen();
  await say(3);
  await eventually(() => bob.states.at(-1) !== 'online', 'the silence is noticed', 20_000);
  proxy.heal();
  await toldAll();
  assert.deepEqual(bob.told, upTo(6));
});

for (const transport of ['ws', 'stream', 'sse'])
  test(`${transport}: heartbeats keep a connection from an idle cut (60 s against 25 s, scaled)`, { skip, timeout: 60_000 }, async (t) => {
    const { proxy, bob } = await given(t, { transport, env: { RUNG_HEARTBEAT_MS: '1250' } });
    proxy.idleCut(60_000 / 20);
    let beats = 0;
    bob.on('heartbeat', () => beats++);
    bob.start();
    await eventually(() => beats >= 4, 'four heartbeats', 30_000);
    assert.deepEqual(bob.states, ['connecting', 'online']);
  });

test('where idle cuts are shorter than heartbeats, each cut is come back from', { skip, timeout: 60_000 }, async (t) => {
  const { proxy, bob, say, toldAll } = await given(t, { env: { RUNG_HEARTBEAT_MS: '10000' } });
  proxy.idleCut(300);
  bob.start();
  for (let cuts = 3; cuts <= 9; cuts += 3) {
    await eventually(() => proxy.cuts >= cuts, `${cuts} cuts`, 30_000);
    await say(2);
    await toldAll();
  }
  assert.deepEqual(bob.told, upTo(6));
});
