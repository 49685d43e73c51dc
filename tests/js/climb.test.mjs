// The ladder against the real server, behind a proxy that treats each rung as a bad
// network does. Times are printed, not asserted: ladder.test.mjs does that in fake time.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { RungClient } from '../../web/rung.js';
import { faults, RungProxy } from '../lib/rung_proxy.mjs';
import { RUNG_BIN, Server } from '../lib/server.mjs';
import { chosenSeed, eventually, seeded } from '../lib/wait.mjs';

const skip = existsSync(RUNG_BIN) ? false : `${RUNG_BIN} is not built`;
const RUNGS = ['ws', 'stream', 'sse', 'longpoll', 'poll']; // jsonp needs a page
const AT_ONCE = 4;

async function givenClient(url, user, options) {
  const client = new RungClient({ url, device: 'climber', pollMs: 50, WebSocket, EventSource, ...options });
  await client.login(user);
  client.told = [];
  client.on('message', (message) => client.told.push(message.seq));
  return client;
}

const upTo = (n) => Array.from({ length: n }, (_, i) => i + 1);

/* One combination: land on the best rung that is open while messages come in. */
async function land(server, faultOf, user) {
  const proxy = await RungProxy.open(server.port);
  for (const [rung, fault] of faultOf) proxy.make(fault, rung);
  const best = RUNGS.find((rung) => !faultOf.has(rung));
  const sender = await givenClient(server.url, `${user}.sender`, { transport: 'ws' });
  const client = await givenClient(proxy.url, user, { cursor: '0' });
  try {
    sender.start();
    const startedAt = performance.now();
    let landedAt;
    client.on('transport', ({ live }) => live === best && (landedAt ??= performance.now()));
    client.start();
    let sent = 0;
    while (client.status.transport !== best || sent < 20) {
      await sender.sendMessage({ to: user, body: ++sent });
      assert.ok(performance.now() - startedAt < 30_000, `${JSON.stringify([...faultOf])}: on ${client.status.transport}, not ${best}`);
    }
    await eventually(() => client.told.length >= sent, `all ${sent} told to ${user}`, 20_000);
    assert.deepEqual(client.told, upTo(sent), JSON.stringify([...faultOf]));
    return landedAt - startedAt;
  } finally {
    client.close();
    sender.close();
    await proxy.close();
  }
}

test('all combinations of blocked rungs land on the best open one, and nothing is lost', { skip, timeout: 300_000 }, async (t) => {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const server = await Server.start({ env: { RUNG_USER_RATE: '1000000', RUNG_CONNECTION_RATE: '1000000' } });
  t.after(() => server.finish());

  const todo = [];
  for (let bits = 0; bits < 2 ** RUNGS.length - 1; bits++) {
    const blocked = RUNGS.filter((_, i) => bits & (1 << i));
    const fault = (rung) => random.pick(rung.endsWith('poll') ? faults.filter((one) => one !== 'buffers') : faults);
    todo.push(new Map(blocked.map((rung) => [rung, fault(rung)])));
  }
  const times = [];
  const worker = async () => {
    for (let next; (next = todo.pop());) times.push(await land(server, next, `u${todo.length}`));
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  times.sort((a, b) => a - b);
  assert.equal(times.length, 2 ** RUNGS.length - 1);
  t.diagnostic(`landed after ${Math.round(times[0])} to ${Math.round(times.at(-1))} ms, half within ${Math.round(times[times.length >> 1])} ms`);
});

test('climbing and falling while 1,000 messages a second flow: none lost, twice or out of order', { skip, timeout: 180_000 }, async (t) => {
  const server = await Server.start({ env: { RUNG_USER_RATE: '1000000', RUNG_CONNECTION_RATE: '1000000' } });
  t.after(() => server.finish());
  const proxy = await RungProxy.open(server.port);
  t.after(() => proxy.close());
  const bob = await givenClient(proxy.url, 'bob', { cursor: '0', random: () => 0.02 });
  t.after(() => bob.close());
  const token = await server.login('alice');

  const post = new WebSocket(`${server.url.replace('http', 'ws')}/v1/ws?access_token=${token}`, 'rung.v1');
  t.after(() => post.terminate());
  await new Promise((resolve, reject) => post.once('open', resolve).once('error', reject));
  post.resume();
  let sent = 0;
  const startedAt = performance.now();
  const flow = setInterval(() => { // as many as are due
    const due = Math.floor(performance.now() - startedAt) - sent;
    for (let i = 0; i < Math.min(due, 200); i++)
      post.send(JSON.stringify({ id: ++sent, method: 'message.send', params: { to: 'bob', body: sent } }));
  }, 10);
  t.after(() => clearInterval(flow));

  const on = async (rung) => {
    await eventually(() => bob.status.transport === rung, `bob is on ${rung}, not ${bob.status.transport}`, 30_000);
    const toldThen = bob.told.length;
    await eventually(() => bob.told.length > toldThen + 200, `messages come by ${rung}`, 20_000);
  };
  proxy.make('refuses', ...RUNGS.slice(0, -1));
  bob.start();
  await on('poll');
  for (const rung of ['longpoll', 'sse', 'stream', 'ws']) {
    proxy.make('works', rung);
    bob.climb();
    await on(rung);
  }
  for (const [i, fault] of ['refuses', 'page', 'refuses', 'page'].entries()) {
    proxy.make(fault, RUNGS[i]);
    await on(RUNGS[i + 1]);
  }
  proxy.make('works', ...RUNGS);
  bob.climb();
  await on('ws');
  clearInterval(flow);
  post.send(JSON.stringify({ id: ++sent, method: 'message.send', params: { to: 'bob', body: sent } }));
  await eventually(() => bob.told.at(-1) >= sent, () => `bob is told of ${bob.told.at(-1)} of ${sent}`, 30_000);
  assert.deepEqual(bob.told, upTo(sent));
  t.diagnostic(`${sent} messages in ${Math.round(performance.now() - startedAt)} ms`);
});
