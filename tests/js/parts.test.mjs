// The small parts of the SDK, one by one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RungError } from '../../web/rung.js';
import { EventStream } from '../../web/carry/event_stream.js';
import { BeatClock } from '../../web/rung/beat.js';
import { claimsOf } from '../../web/rung/claims.js';
import { judge } from '../../web/rung/judge.js';
import { compareKeys } from '../../web/rung/ram.js';
import { Rtt } from '../../web/rung/rtt.js';
import { sign } from '../lib/token.mjs';
import { fakeFetch, givenClient, givenOnline, message, settled } from './lib/fakes.mjs';

/* ---- come back or not ---- */

for (const [verdict, ...codes] of [
  ['rung', 'network', 'timeout', 'disconnected', 'intercepted', 'unsupported', 'not_found', 'method_not_allowed',
    'retired', 'gone', 'unsupported_version'],
  ['token', 'unauthorized', 'token_expired'],
  ['later', 'rate_limited', 'overloaded', 'unavailable', 'internal'],
  ['stop', 'bad_request', 'forbidden', 'not_member', 'something_new'],
  ['bye', 'bye'],
])
  test(`${codes.join(', ')}: ${verdict}`, () => {
    for (const code of codes) assert.equal(judge({ error: new RungError(code) }), verdict, code);
  });

test('a close that is final stops, unless another token may help', () => {
  assert.equal(judge({ error: new RungError('disconnected'), final: true }), 'stop');
  assert.equal(judge({ error: new RungError('token_expired'), final: true }), 'token');
});

/* ---- time ---- */

test('what the server sends winds the clock of a page whose timers sleep', () => {
  let now = 0;
  const asleep = { now: () => now, after: () => 1, cancel() {} };
  const clock = new BeatClock(asleep);
  const rung = [];
  clock.after(100, () => rung.push('late'));
  clock.after(50, () => rung.push('first'));
  const cancelled = clock.after(60, () => rung.push('cancelled'));
  clock.after(1_000, () => rung.push('not due'));
  clock.cancel(cancelled);
  now = 500;
  clock.beat();
  clock.beat();
  assert.deepEqual(rung, ['first', 'late']);
});

test('a heartbeat runs what is due in a client', async () => {
  const { client, ws, clock } = await givenOnline();
  client.sendMessage({ to: 'you', body: 1 });
  ws.last.calls[0].reject(new RungError('internal'));
  await settled();
  clock.sleepFor(60_000); // a hidden page: no timer runs
  assert.equal(ws.last.calls.length, 1);
  ws.last.report.batch([{ event: 'heartbeat', cursor: 'e-20' }]);
  assert.equal(ws.last.calls.length, 2);
});

test('of a longer round trip an eighth is believed, a shorter one at once', () => {
  const rtt = new Rtt();
  const after = [80, 160, 40, 40].map((ms) => (rtt.note(ms), rtt.ms));
  assert.deepEqual(after, [80, 90, 40, 40]);
});

/* ---- text/event-stream ---- */

test('an event stream is taken apart wherever it is cut', () => {
  const text = ': hi\r\nretry: 1000\r\n\r\nid: e-1\nevent: message\ndata: {"a":1}\n\ndata:one\ndata: two\n\nevent: none\n\ndata: x\r\ndata: y\r\n\r\n';
  for (let size = 1; size < text.length; size++) {
    const stream = new EventStream();
    const all = [];
    for (let at = 0; at < text.length; at += size) all.push(...stream.take(text.slice(at, at + size)));
    assert.deepEqual(all, ['{"a":1}', 'one\ntwo', 'x\ny'], `pieces of ${size}`);
  }
});

/* ---- names ---- */

test('a token says who it is for; what is none says nothing', () => {
  assert.equal(claimsOf(sign({ sub: 'zoë', app: 'shop' }, 's'.repeat(32))).sub, 'zoë');
  for (const odd of [null, '', 'T', 'a.b.c', 'a.bnVsbA.c']) assert.deepEqual(claimsOf(odd), {}, String(odd));
});

test('keys are ordered as in IndexedDB: numbers, strings, arrays', () => {
  const keys = [['b', 1], 'b', ['a', 10], 2, ['a', 9], 10, 'a', ['a']];
  assert.deepEqual(keys.sort(compareKeys), [2, 10, 'a', 'b', ['a'], ['a', 9], ['a', 10], ['b', 1]]);
});

/* ---- messages ---- */

test('createMessage() completes a message and refuses what is none', () => {
  const { client } = givenClient();
  const made = client.createMessage({ to: 'you', body: { text: 'hi' } });
  assert.deepEqual({ ...made, client_msg_id: undefined }, { to: 'you', type: 'text', body: { text: 'hi' }, client_msg_id: undefined });
  assert.match(made.client_msg_id, /^[0-9a-f-]{36}$/);
  assert.equal(client.createMessage({ to: 'you', body: 1, client_msg_id: 'mine' }).client_msg_id, 'mine');
  for (const [wrong, why] of [[{ body: 1 }, /'to'/], [{ to: 'a', conversation: 'c', body: 1 }, /'to'/], [{ to: 'a' }, /'body'/]])
    assert.throws(() => client.createMessage(wrong), (error) => error.code === 'bad_request' && why.test(error.message));
});

test('createFileMessage() uploads and refers to it', async () => {
  const stored = { id: 'm1', size: 2, mime: 'text/plain', sha256: 'ab' };
  const asked = [];
  const fetch = async (url, { method, body, headers }) => {
    asked.push([method, url, await body.text(), headers['Content-Type']]);
    return Response.json(stored);
  };
  const { client } = givenClient({ fetch });
  const made = await client.createFileMessage({ to: 'you', file: new Blob(['hi'], { type: 'text/plain' }), name: 'a.txt' });
  assert.deepEqual([made.type, made.body], ['file', { media: 'm1', name: 'a.txt', size: 2, mime: 'text/plain', sha256: 'ab' }]);
  assert.deepEqual(asked, [['PUT', 'http://rung.test/v1/media', 'hi', 'text/plain']]);
});

test('createFileMessage() says so when the server keeps no media, and does not upload what cannot be sent', async () => {
  const fetch = fakeFetch(() => ({ status: 404, body: { error: { code: 'not_found', message: 'no such path' } } }));
  const { client } = givenClient({ fetch });
  await assert.rejects(client.createFileMessage({ file: new Blob(['hi']) }), { code: 'bad_request' });
  await assert.rejects(client.createFileMessage({ to: 'you', file: 'hi' }), { code: 'bad_request' });
  assert.equal(fetch.asked.length, 0);
  await assert.rejects(client.createFileMessage({ to: 'you', file: new Blob(['hi']) }),
    { code: 'unsupported', message: /keeps no media/, status: 404 });
});

test('markConversationRead() marks what has come, or what the server says is the last', async () => {
  const fetch = fakeFetch((url) => ({ body: url.endsWith('conversation.get') ? { last_seq: 9 } : {} }));
  const { client, ws } = givenClient({ cursor: 'e-10', fetch });
  client.start();
  await client.markConversationRead('0:1:me:other');
  await client.markConversationRead('0:1:me:you', 5);
  ws.last.report.batch([message(11), message(12)]);
  const marked = client.markConversationRead('0:1:me:you');
  assert.deepEqual(ws.last.calls.at(-1).params, { conversation: '0:1:me:you', seq: 12 });
  ws.last.calls.at(-1).resolve({});
  await marked;
  assert.deepEqual(fetch.asked.filter(({ url }) => url.endsWith('message.read')).map(({ params }) => params.seq), [9, 5]);
});

test('ConversationChange is told for what changes a summary, with why', async () => {
  const { client, ws } = await givenOnline();
  const changes = [];
  client.on('ConversationChange', ({ conversation, reason }) => changes.push([conversation, reason]));
  ws.last.report.batch([message(11), { event: 'receipt', cursor: 'e-12', conversation: 'c', kind: 'read', seq: 1, user: 'you' },
    { event: 'conversation', cursor: 'e-13', conversation: 'd', seq: 1, change: 'created' }, message(13), { event: 'heartbeat', cursor: 'e-14' }]);
  assert.deepEqual(changes, [['0:1:me:you', 'message'], ['c', 'receipt'], ['d', 'conversation']]);
});
