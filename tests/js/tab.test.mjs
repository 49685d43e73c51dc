// A tab that follows: what the leader tells, and polls where there is a hole.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tabCarry } from '../../web/carry/tab.js';
import { fakeFetch, fakeStorage, givenClient, message, settled } from './lib/fakes.mjs';

/* A follower whose leader and server are the test. */
async function given(cursor = 'e-10') {
  const listeners = new Set();
  const polls = [];
  const fetch = (url, { signal }) => new Promise((resolve, reject) => {
    polls.push({ url, answer: (body) => resolve(Response.json(body)) });
    signal.addEventListener('abort', () => reject(new Error('aborted')));
  });
  const tab = tabCarry((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  });
  const { client, heard, clock } = givenClient({ carries: { tab }, transport: 'tab', cursor, fetch });
  client.start();
  await settled();
  const tell = (from, events, to) => listeners.forEach((listen) => listen({ from: { cursor: from }, events, cursor: to }));
  return { client, clock, heard, polls, tell, listeners, answer: async (body) => (polls.at(-1).answer(body), settled()) };
}

const lsns = (heard) => heard.filter(({ event }) => event === 'message').map(({ seq }) => seq);

test('it polls first: what it missed, and then what was told meanwhile', async () => {
  const { client, heard, tell, answer } = await given();
  tell('e-12', [message(13)], 'e-13');
  assert.equal(client.status.transport, null);
  await answer({ events: [message(11)], cursor: 'e-11', more: true });
  await answer({ events: [message(12), message(13)], cursor: 'e-13', more: false });
  assert.equal(client.status.transport, 'tab');
  tell('e-13', [message(14)], 'e-14');
  tell('e-14', [], 'e-20');
  assert.deepEqual(lsns(heard), [11, 12, 13, 14]);
  assert.equal(client.cursor, 'e-20');
});

test('a hole is filled by a poll before what lies behind it is taken', async () => {
  const { heard, tell, answer, polls } = await given();
  await answer({ events: [], cursor: 'e-10', more: false });
  tell('e-13', [message(14)], 'e-14');
  assert.deepEqual(lsns(heard), []);
  await settled();
  assert.match(polls[1].url, /cursor=e-10/);
  await answer({ events: run(11, 14), cursor: 'e-14', more: false });
  tell('e-14', [message(15)], 'e-15');
  assert.deepEqual(lsns(heard), [11, 12, 13, 14, 15]);
});

test('a reset is heard from the server itself', async () => {
  const { client, heard, tell, answer } = await given();
  await answer({ events: [], cursor: 'e-10', more: false });
  tell('e-10', [{ event: 'reset', cursor: 'f-5' }, message(6, { cursor: 'f-6' })], 'f-6');
  await settled();
  await answer({ events: [{ event: 'reset', cursor: 'f-7' }], cursor: 'f-7', more: false });
  assert.equal(client.cursor, 'f-7');
  assert.deepEqual(heard.map(({ event }) => event), ['reset']);
});

test('a leader that says nothing for a minute is not waited for', async () => {
  const { client, clock, answer, listeners } = await given();
  await answer({ events: [], cursor: 'e-10', more: false });
  await clock.pass(60_000);
  assert.equal(client.status.state, 'waiting');
  assert.equal(client.status.error.code, 'timeout');
  assert.equal(listeners.size, 0);
});

function run(from, to) {
  return Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
}

/* A page in a browser whose lock is free, or `held` by another tab. */
function givenPage(t, { held = false, ...options } = {}) {
  const request = async (name, options, then) => {
    if (!held) return then({ name });
    return options.ifAvailable ? then(null) : new Promise(() => {});
  };
  for (const [name, value] of [['document', {}], ['navigator', { locks: { request } }]]) {
    const own = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true });
    t.after(() => (own ? Object.defineProperty(globalThis, name, own) : delete globalThis[name]));
  }
  const given = givenClient({ transport: 'auto', memory: fakeStorage(), cursor: 'e-10', ...options });
  t.after(() => given.client.close());
  given.client.start();
  return given;
}

test('a leader that is given one rung alone leads no more, and what is live goes on meanwhile', async (t) => {
  const { client, ws, sse } = givenPage(t);
  await settled();
  ws.last.report.batch([]);
  assert.equal(client.status.role, 'leader');

  const switched = client.setTransport('sse');
  assert.deepEqual([client.status.role, client.status.transport, ws.last.closed], ['alone', 'ws', false]);
  sse.last.report.batch([]);
  await switched;
  assert.deepEqual([client.status.transport, ws.last.closed, ws.opened.length], ['sse', true, 1]);
});

test('closed and started again before it knew who it is, it leads once', async (t) => {
  const tokens = [];
  const { client, ws } = givenPage(t, { token: undefined, getToken: () => new Promise((resolve) => tokens.push(resolve)) });
  client.close();
  client.start();
  await settled();
  tokens.forEach((resolve) => resolve('T'));
  await settled();
  assert.equal(client.status.role, 'leader');
  assert.equal(ws.opened.length, 1);
});

test('a follower knows what is read when all that has come is', async (t) => {
  const fetch = fakeFetch((url) => ({ body: url.includes('/v1/poll') ? { events: [message(11)], cursor: 'e-11', more: false } : {} }));
  const { client } = givenPage(t, { held: true, fetch });
  await settled();
  await settled();
  assert.deepEqual([client.status.role, client.cursor], ['follower', 'e-11']);

  await client.markConversationRead('0:1:me:you');
  assert.deepEqual([fetch.asked.at(-1).url, fetch.asked.at(-1).params],
    ['http://rung.test/v1/message.read', { conversation: '0:1:me:you', seq: 11 }]);
});

test('a follower that is given one rung alone climbs by itself', async (t) => {
  const { client, sse } = givenPage(t, { held: true });
  await settled();
  assert.equal(client.status.role, 'follower');

  const switched = client.setTransport('sse');
  sse.last.report.batch([]);
  await switched;
  assert.deepEqual([client.status.role, client.status.transport], ['alone', 'sse']);
});
