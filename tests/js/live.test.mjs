// The client against a real server, over a network that cuts connections at random
// bytes, while it is made to change its transport: what it was told is the log.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';
import { RungClient } from '../../web/rung.js';
import { Proxy } from '../lib/proxy.mjs';
import { RUNG_BIN, Server } from '../lib/server.mjs';
import { chosenSeed, eventually, seeded } from '../lib/wait.mjs';

const skip = existsSync(RUNG_BIN) ? false : `${RUNG_BIN} is not built`;
const TRANSPORTS = ['ws', 'stream', 'sse', 'longpoll', 'poll'];
const CONVERSATION = '0:1:alice:bob';

async function givenClient(url, user, options) {
  const client = new RungClient({ url, device: `${user}-phone`, cursor: '0', pollMs: 20, WebSocket, EventSource, ...options });
  await client.login(user);
  client.told = [];
  client.on('message', (message) => client.told.push(message));
  client.start();
  return client;
}

/* What the log says, page by page. */
async function history(server, token) {
  const all = [];
  for (let more = true; more;) {
    const page = await server.call('message.history',
      { conversation: CONVERSATION, after: all.at(-1)?.seq ?? 0, limit: 50 }, { token });
    all.push(...page.messages.filter(({ event }) => event === 'message'));
    more = page.more;
  }
  return all;
}

const brief = (messages) => messages.map(({ seq, from, body }) => [seq, from, body.text]);

for (const transport of TRANSPORTS)
  test(`${transport}: two clients talk`, { skip, timeout: 30_000 }, async (t) => {
    const server = await Server.start();
    t.after(() => server.finish());
    const alice = await givenClient(server.url, 'alice', { transport });
    t.after(() => alice.close());
    const bob = await givenClient(server.url, 'bob', { transport });
    t.after(() => bob.close());
    const receipts = [];
    alice.on('receipt', (receipt) => receipts.push(receipt));

    const first = await alice.sendMessage({ to: 'bob', body: { text: 'hi' } });
    await eventually(() => bob.told.length === 1, 'bob is told');
    assert.deepEqual(brief(bob.told), [[1, 'alice', 'hi']]);
    assert.equal(first.seq, 1);
    await eventually(() => receipts.some(({ kind, user }) => kind === 'delivered' && user === 'bob'),
      'alice hears that it was delivered');
    await bob.markConversationRead(CONVERSATION, 1);
    await eventually(() => receipts.some(({ kind }) => kind === 'read'), 'alice hears that it was read');
    assert.equal(alice.status.transport, transport);
  });

test('sse without EventSource is read by fetch, its token in a header', { skip, timeout: 30_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.finish());
  const asked = [];
  const bob = await givenClient(server.url, 'bob', { transport: 'sse', EventSource: undefined,
    fetch: (url, init) => (asked.push(url), fetch(url, init)) });
  t.after(() => bob.close());
  await bob.sendMessage({ to: 'bob', body: { text: 'line one\nline two' } });
  await eventually(() => bob.told.length === 1, 'bob is told');
  assert.deepEqual(brief(bob.told), [[1, 'bob', 'line one\nline two']]);
  assert.ok(asked.some((url) => url.includes('/v1/sse?')) && !asked.some((url) => /ticket|token=/.test(url)), asked.join());
});

for (const transport of TRANSPORTS)
  test(`${transport}: a server that says goodbye is come back to`, { skip, timeout: 60_000 }, async (t) => {
    const server = await Server.start({ env: { RUNG_BYE_SPREAD_MS: '100' } });
    t.after(() => server.finish());
    const bob = await givenClient(server.url, 'bob', { transport });
    t.after(() => bob.close());
    const states = [];
    bob.on('status', ({ state }) => state !== states.at(-1) && states.push(state));
    const send = (text) => server.login('alice').then((token) =>
      server.call('message.send', { to: 'bob', body: { text } }, { token }));

    await send('before');
    await eventually(() => bob.told.length === 1, 'bob is told');
    await server.restart();
    await send('after');
    await eventually(() => bob.told.length === 2, 'bob is told, by the server that came back', 20_000);
    if (transport !== 'poll') // it may miss the whole restart between two polls
      assert.ok(states.includes('waiting'), states.join());
    assert.equal(bob.status.transport, transport);
  });

for (const transport of ['ws', 'stream', 'sse'])
  test(`${transport}: an idle stream lives on its heartbeats`, { skip, timeout: 60_000 }, async (t) => {
    const server = await Server.start({ env: { RUNG_HEARTBEAT_MS: '1000' } });
    t.after(() => server.finish());
    const bob = await givenClient(server.url, 'bob', { transport });
    t.after(() => bob.close());
    let beats = 0;
    const states = [];
    bob.on('status', ({ state }) => states.push(state));
    bob.on('heartbeat', () => beats++);
    await eventually(() => beats >= 4, 'four heartbeats', 20_000);
    assert.deepEqual(states.filter((state) => state !== 'online' && state !== 'connecting'), []);
  });

test('a torn network and switches in the middle lose nothing, double nothing', { skip, timeout: 120_000 }, async (t) => {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const server = await Server.start();
  t.after(() => server.finish());
  const proxy = await Proxy.open(server.port);
  t.after(() => proxy.close());
  const hasty = { random: () => random.unit() * 0.02 }; // backoff that suits a test
  const alice = await givenClient(server.url, 'alice', hasty);
  t.after(() => alice.close());
  const bob = await givenClient(proxy.url, 'bob', hasty);
  t.after(() => bob.close());
  const token = await server.login('alice');

  proxy.budget = () => random.between(300, 6000);
  const sent = [];
  for (let i = 0; i < 120; i++) {
    sent.push(alice.sendMessage({ to: 'bob', body: { text: `a${i}` } }));
    sent.push(bob.sendMessage({ to: 'alice', body: { text: `b${i}` } }));
    if (i % 6 === 0) bob.setTransport(random.pick(TRANSPORTS)).catch(() => {}); // it comes back by another
    if (i % 10 === 0) proxy.reset();
    await sent.at(-2);
  }
  const stored = await Promise.all(sent);
  proxy.heal();

  const log = await history(server, token);
  assert.equal(log.length, 240);
  assert.equal(new Set(stored.map(({ seq }) => seq)).size, 240);
  for (const client of [alice, bob]) {
    await eventually(() => client.told.length >= 240, `${client.user} is told of all`, 20_000);
    assert.deepEqual(brief(client.told), brief(log));
  }
  for (const who of ['alice', 'bob'])
    assert.deepEqual(log.filter(({ from }) => from === who).map(({ body }) => body.text),
      Array.from({ length: 120 }, (_, i) => `${who[0]}${i}`), 'in the order in which they were sent');
  t.diagnostic(`${proxy.cuts} cuts`);
});

test('two pages of one device send at once, and again after a reload: all is stored, each page’s in its order', { skip, timeout: 60_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.finish());
  const sendAll = (client, page) => Promise.all(Array.from({ length: 25 }, (_, i) =>
    client.sendMessage({ to: 'bob', body: { text: `${page}${i}` } })));
  const pages = [];
  for (const page of ['a', 'b']) {
    pages.push(await givenClient(server.url, 'alice', { random: () => 0.01 }));
    t.after(() => pages.at(-1).close());
  }
  await Promise.all([sendAll(pages[0], 'a'), sendAll(pages[1], 'b')]);
  pages[0].close();
  const again = await givenClient(server.url, 'alice', {});
  t.after(() => again.close());
  await sendAll(again, 'c');

  const log = await history(server, await server.login('alice'));
  assert.equal(log.length, 75);
  for (const page of ['a', 'b', 'c'])
    assert.deepEqual(log.map(({ body }) => body.text).filter((text) => text.startsWith(page)),
      Array.from({ length: 25 }, (_, i) => `${page}${i}`));
});

test('a file is refused in clear words while the server keeps no media', { skip, timeout: 30_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.finish());
  const alice = await givenClient(server.url, 'alice', {});
  t.after(() => alice.close());
  const { status } = await server.get('/v1/media/none');
  const made = alice.createFileMessage({ to: 'bob', file: new Blob(['hi']), name: 'hi.txt' });
  if (status === 404) await assert.rejects(made, { code: 'unsupported' });
  else assert.equal((await made).type, 'file');
});
