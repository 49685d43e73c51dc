// The session of the browser client: cursor, switching, reconnecting, sending.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RungError } from '../../web/rung.js';
import { fullJitter, BASE_MS, CAP_MS } from '../../web/rung/backoff.js';
import { isBeyond } from '../../web/rung/position.js';
import { uuid7 } from '../../web/rung/uuid7.js';
import { fakeFetch, fakeStorage, givenClient, givenOnline, message, settled } from './lib/fakes.mjs';

const lsns = (heard) => heard.map(({ cursor }) => Number(cursor.split('-')[1]));
const lost = { error: new RungError('disconnected') };

/* ---- the cursor ---- */

test('cursors compare as numbers within an epoch, and not across', () => {
  assert.ok(isBeyond('e-10', 'e-9'));
  assert.ok(!isBeyond('e-9', 'e-10'));
  assert.ok(!isBeyond('e-9', 'e-9'));
  assert.ok(!isBeyond('f-10', 'e-9'));
  assert.ok(isBeyond('e-1', '0'));
  assert.ok(isBeyond('e-1', null));
});

test('the cursor moves before anybody is told', async () => {
  const { client, ws } = await givenOnline();
  const seen = [];
  client.on('message', ({ cursor }) => seen.push([cursor, client.cursor]));
  ws.last.report.batch([message(11), message(12)]);
  assert.deepEqual(seen, [['e-11', 'e-11'], ['e-12', 'e-12']]);
});

test('what is not beyond the cursor is dropped', async () => {
  const { client, ws, heard } = await givenOnline();
  ws.last.report.batch([message(9), message(10), message(11), message(11), message(13), message(12)]);
  assert.deepEqual(lsns(heard), [11, 13]);
  assert.equal(client.cursor, 'e-13');
});

test('an entry of another epoch is not taken without a reset', async () => {
  const { client, ws, heard } = await givenOnline();
  ws.last.report.batch([message(11, { cursor: 'f-11' })]);
  assert.deepEqual(heard, []);
  assert.equal(client.cursor, 'e-10');
});

test('ephemeral events have no cursor and always pass', async () => {
  const { client, ws, heard } = await givenOnline();
  const typing = { event: 'typing', user: 'you' };
  ws.last.report.batch([typing, typing]);
  assert.equal(heard.length, 2);
  assert.equal(client.cursor, 'e-10');
});

test('a client without a cursor starts where hello says; one with a cursor stays', async () => {
  const fresh = givenClient();
  fresh.client.start();
  assert.deepEqual(fresh.ws.last.position, {});
  fresh.ws.last.report.batch([]);
  fresh.ws.last.report.batch([{ event: 'hello', cursor: 'e-40' }]);
  assert.equal(fresh.client.cursor, 'e-40');

  const { client, ws } = await givenOnline();
  ws.last.report.batch([{ event: 'hello', cursor: 'e-40' }]);
  assert.equal(client.cursor, 'e-10');
});

test('a heartbeat and the cursor of a poll answer move the cursor, never back', async () => {
  const { client, ws } = await givenOnline();
  ws.last.report.batch([{ event: 'heartbeat', cursor: 'e-20' }]);
  assert.equal(client.cursor, 'e-20');
  ws.last.report.batch([], 'e-30');
  assert.equal(client.cursor, 'e-30');
  ws.last.report.batch([], 'e-25');
  assert.equal(client.cursor, 'e-30');
});

test('reset takes the new cursor, even a smaller one of another epoch, and tells', async () => {
  const { client, ws, heard } = await givenOnline();
  ws.last.report.batch([{ event: 'reset', cursor: 'f-3' }, message(4, { cursor: 'f-4' })]);
  assert.equal(client.cursor, 'f-4');
  assert.deepEqual(heard.map(({ event }) => event), ['reset', 'message']);
});

test('a gap is told and the stream goes on behind it', async () => {
  const { client, ws, heard } = await givenOnline();
  ws.last.report.batch([{ event: 'gap', conversation: 'c', from: 1, to: 5, reason: 'retention', cursor: 'e-15' }, message(16)]);
  assert.deepEqual(heard.map(({ event }) => event), ['gap', 'message']);
  assert.equal(client.cursor, 'e-16');
});

test('a listener that throws stops neither the others nor the cursor', async (t) => {
  t.mock.method(console, 'error', () => {});
  const { client, ws, heard } = await givenOnline();
  client.on('message', () => {
    throw new Error('a bug in the app');
  });
  ws.last.report.batch([message(11), message(12)]);
  assert.deepEqual(lsns(heard), [11, 12]);
});

test('what was not taken because a listener closed the client comes again', async () => {
  const { client, ws, heard } = await givenOnline();
  const off = client.on('message', () => client.close());
  ws.last.report.batch([message(11), message(12)], 'e-12');
  assert.equal(client.cursor, 'e-11');
  off();
  client.start();
  assert.deepEqual(ws.last.position, { cursor: 'e-11' });
  ws.last.report.batch([message(12)]);
  assert.deepEqual(lsns(heard), [11, 12]);
});

/* The next life of what was kept in `storage`. */
async function givenRestored(storage, options = {}) {
  const given = givenClient({ storage, ...options });
  given.client.start();
  await given.client.ready;
  await settled();
  return given;
}

test('the cursor survives in storage', async () => {
  const storage = fakeStorage();
  const { ws } = await givenOnline({ storage });
  ws.last.report.batch([message(17)]);
  assert.equal((await givenRestored(storage)).client.cursor, 'e-17');
});

test('a single chain is followed by seq', async () => {
  const { client } = await givenOnline();
  const channel = client.follow('0:3:news', 4);
  const seqs = [];
  channel.on('message', ({ seq }) => seqs.push(seq));
  const given = givenClient({ follow: { conversation: '0:3:news', after: 4 } });
  given.client.on('message', ({ seq }) => seqs.push(seq));
  given.client.start();
  assert.deepEqual(given.ws.last.position, { conversation: '0:3:news', after: 4 });
  const news = (seq) => message(seq + 100, { seq, conversation: '0:3:news' });
  given.ws.last.report.batch([news(4), news(5), news(5), message(7), news(6)]);
  assert.deepEqual(seqs, [5, 6]);
  given.ws.last.report.batch([{ event: 'gap', conversation: '0:3:news', from: 7, to: 9, cursor: 'e-200' }]);
  given.ws.last.report.down(lost);
  given.client.retryNow();
  assert.deepEqual(given.ws.last.position, { conversation: '0:3:news', after: 9 });
});

/* ---- switching ---- */

test('a switch opens the next with the cursor, and closes the old when it is up', async () => {
  const { client, ws, sse, heard } = await givenOnline();
  ws.last.report.batch([message(11)]);
  const switched = client.setTransport('sse');
  assert.deepEqual(sse.last.position, { cursor: 'e-11' });
  assert.equal(ws.last.closed, false);
  assert.equal(client.status.switching, true);
  assert.equal(client.status.transport, 'ws');

  ws.last.report.batch([message(12)]); // both are open: the cursor decides
  sse.last.report.batch([message(12), message(13)]);
  ws.last.report.batch([message(13), message(14)]);
  sse.last.report.batch([]);
  await switched;
  assert.equal(ws.last.closed, true);
  ws.last.report.batch([message(99)]); // a closed carry is not listened to
  sse.last.report.batch([message(14), message(15)]);
  assert.deepEqual(lsns(heard), [11, 12, 13, 14, 15]);
  assert.equal(client.status.transport, 'sse');
});

test('a switch that fails leaves the old one carrying', async () => {
  const { client, ws, sse } = await givenOnline();
  const switched = client.setTransport('sse');
  sse.last.report.down({ error: new RungError('network', 'refused') });
  await assert.rejects(switched, { code: 'network' });
  assert.equal(ws.last.closed, false);
  assert.deepEqual([client.status.state, client.status.transport, client.status.wanted], ['online', 'ws', 'ws']);
});

test('the old one may die during a switch', async () => {
  const { client, ws, sse, poll } = await givenOnline();
  const switched = client.setTransport('sse');
  ws.last.report.down(lost);
  assert.equal(client.status.state, 'connecting');
  sse.last.report.batch([]);
  await switched;
  assert.equal(client.status.transport, 'sse');

  const again = client.setTransport('poll');
  sse.last.report.down(lost);
  poll.last.report.down({ error: new RungError('network') });
  await assert.rejects(again);
  assert.equal(client.status.state, 'waiting');
  assert.equal(client.status.wanted, 'poll');
});

test('a later choice replaces the one under way', async () => {
  const { client, sse, poll } = await givenOnline();
  const first = assert.rejects(client.setTransport('sse'), { code: 'conflict' });
  const second = client.setTransport('poll');
  assert.equal(sse.last.closed, true);
  poll.last.report.batch([]);
  await Promise.all([first, second]);
  assert.equal(client.status.transport, 'poll');
});

test('when the later choice fails, the one that carries is the wanted one again', async () => {
  const { client, poll } = await givenOnline();
  client.setTransport('sse').catch(() => {});
  const second = client.setTransport('poll');
  poll.last.report.down(lost);
  await assert.rejects(second);
  assert.deepEqual([client.status.transport, client.status.wanted], ['ws', 'ws']);
});

test('a rung that is missing or blocked is refused at once, and the live one goes on', async () => {
  const given = givenClient();
  given.sse.missing = () => 'no streams here';
  const { ws, sse, poll } = given;
  const { client } = givenClient({ carries: { ws, sse, poll } });
  client.start();
  ws.last.report.batch([]);
  client.blockRung('poll');
  await assert.rejects(client.setTransport('sse'), { code: 'unsupported', message: /no streams here/ });
  await assert.rejects(client.setTransport('poll'), { code: 'unsupported', message: /blocked/ });
  assert.deepEqual([client.status.state, client.status.transport, client.status.wanted], ['online', 'ws', 'ws']);
});

test('a switch ends when its rung is blocked', async () => {
  const { client, sse } = await givenOnline();
  const switched = client.setTransport('sse');
  client.blockRung('sse');
  await assert.rejects(switched, { code: 'unsupported' });
  assert.equal(sse.last.closed, true);
  assert.deepEqual([client.status.state, client.status.transport, client.status.wanted], ['online', 'ws', 'ws']);
});

test('a switch ends when the server refuses the client for good', async () => {
  const { client, ws, sse } = await givenOnline();
  const switched = client.setTransport('sse');
  const refusal = { error: new RungError('forbidden', 'not with this token'), final: true };
  ws.last.report.down(refusal);
  await assert.rejects(switched, { code: 'forbidden' });
  assert.equal(sse.last.closed, true);
  assert.equal(client.status.state, 'stopped');
});

test('an unknown transport is refused with the list of those there are', async () => {
  const { client } = await givenOnline();
  assert.throws(() => client.setTransport('pigeon'), /pigeon.*ws, sse, poll/);
});

/* ---- reconnecting ---- */

test('full jitter stays between nothing and a ceiling that doubles up to a cap', () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** attempt);
    assert.equal(fullJitter(attempt, () => 0), 0);
    assert.equal(fullJitter(attempt, () => 0.5), ceiling / 2);
    assert.ok(fullJitter(attempt, () => 0.999999) <= ceiling);
  }
});

test('a lost connection comes back with the cursor, later each time', async () => {
  const { client, ws, clock } = await givenOnline();
  ws.last.report.batch([message(11)]);
  const delays = [];
  for (let i = 0; i < 9; i++) {
    ws.last.report.down(lost);
    assert.equal(client.status.state, 'waiting');
    const delay = client.status.retryAt - clock.now();
    delays.push(delay);
    await clock.pass(delay);
    assert.deepEqual(ws.last.position, { cursor: 'e-11' });
  }
  assert.deepEqual(delays, [250, 500, 1000, 2000, 4000, 8000, 15000, 15000, 15000]);
});

test('a connection that lived long starts the backoff anew; one that flapped does not', async () => {
  const { client, ws, clock } = await givenOnline();
  const delay = () => client.status.retryAt - clock.now();
  ws.last.report.down(lost);
  await clock.pass(delay());
  ws.last.report.batch([]);
  ws.last.report.down(lost);
  assert.equal(delay(), 500);
  await clock.pass(delay());
  ws.last.report.batch([]);
  await clock.pass(6_000);
  ws.last.report.down(lost);
  assert.equal(delay(), 250);
});

test('bye: exactly the delay that this client was given', async () => {
  const { client, ws, clock, heard } = await givenOnline();
  ws.last.report.batch([message(11), { event: 'bye', reason: 'draining', retry_after_ms: 1234 }, message(12)], 'e-12');
  assert.equal(ws.last.closed, true);
  assert.equal(client.status.retryAt - clock.now(), 1234);
  assert.deepEqual(heard.map(({ event }) => event), ['message', 'bye']);
  await clock.pass(1233);
  assert.equal(ws.opened.length, 1);
  await clock.pass(1);
  assert.deepEqual(ws.last.position, { cursor: 'e-11' });
});

test('bye to one who is no longer a member is for good', async () => {
  const { client, ws } = await givenOnline();
  ws.last.report.batch([{ event: 'bye', reason: 'not_member', retry_after_ms: 0 }]);
  assert.deepEqual([client.status.state, client.status.error.code], ['stopped', 'not_member']);
});

test('retry_after_ms of an error is waited out, with jitter on top', async () => {
  const { client, ws, clock } = await givenOnline();
  ws.last.report.down({ error: new RungError('overloaded', 'busy', { retryAfterMs: 4000 }) });
  assert.equal(client.status.retryAt - clock.now(), 4250);
});

test('a final refusal stops; start() tries again', async () => {
  const { client, ws, clock } = await givenOnline();
  ws.last.report.down({ error: new RungError('forbidden'), final: true });
  assert.equal(client.status.state, 'stopped');
  await clock.pass(100_000);
  assert.equal(ws.opened.length, 1);
  client.start();
  assert.equal(ws.opened.length, 2);
});

test('a refused token is renewed once, and then believed to be hopeless', async () => {
  let tokens = 0;
  const refused = { error: new RungError('token_expired'), final: true };
  const { client, ws, clock } = await givenOnline({ token: undefined, getToken: async () => `T${++tokens}` });
  assert.equal(await ws.last.host.token(), 'T1');
  ws.last.host.tokenRefused();
  ws.last.report.down(refused);
  await clock.pass(500);
  assert.equal(await ws.last.host.token(), 'T2');
  ws.last.host.tokenRefused();
  ws.last.report.down(refused);
  assert.equal(client.status.state, 'stopped');
});

test('a token that cannot be had now is asked for again later', async () => {
  const { client, ws } = givenClient({ token: undefined, getToken: async () => { throw new TypeError('fetch failed'); } });
  client.start();
  const error = await ws.last.host.token().catch((caught) => caught);
  ws.last.report.down({ error });
  assert.equal(client.status.state, 'waiting');
});

test('without a way to renew it, a refused token stops', async () => {
  const { client, ws } = await givenOnline();
  ws.last.report.down({ error: new RungError('token_expired') });
  assert.equal(client.status.state, 'stopped');
  assert.equal(client.status.error.code, 'token_expired');
});

test('silence for two heartbeats is death', async () => {
  const { client, ws, clock } = await givenOnline();
  ws.last.report.batch([{ event: 'hello', cursor: 'e-10', heartbeat_ms: 1000 }]);
  await clock.pass(1900);
  ws.last.report.batch([{ event: 'heartbeat', cursor: 'e-10' }]);
  await clock.pass(1999);
  assert.equal(client.status.state, 'online');
  await clock.pass(1);
  assert.equal(client.status.state, 'waiting');
  assert.equal(ws.last.closed, true);
});

test('a connection that never opens is given up', async () => {
  const { client, ws, clock } = givenClient();
  client.start();
  await clock.pass(10_000);
  assert.equal(ws.opened[0].closed, true);
  assert.equal(client.status.state, 'waiting');
});

test('close() leaves no timer and no carry behind', async () => {
  const { client, ws, clock } = await givenOnline();
  ws.last.report.batch([{ event: 'hello', heartbeat_ms: 1000 }, message(11)]);
  client.sendMessage({ to: 'you', body: {} });
  client.close();
  assert.equal(ws.last.closed, true);
  assert.deepEqual(clock.waits, []);
});

/* ---- acknowledging ---- */

test('received messages are acknowledged together, by the cursor', async () => {
  const { ws, clock } = await givenOnline();
  ws.last.report.batch([message(11), message(12)]);
  ws.last.report.batch([message(13)]);
  assert.deepEqual(ws.last.calls, []);
  await clock.pass(200);
  assert.deepEqual(ws.last.calls.map(({ method, params }) => [method, params]), [['message.ack', { cursor: 'e-13' }]]);
});

test('neither receipts nor my own messages are acknowledged', async () => {
  const { ws, clock } = await givenOnline();
  ws.last.report.batch([{ event: 'receipt', cursor: 'e-11' }, message(12, { from: 'me' })]);
  await clock.pass(1000);
  assert.deepEqual(ws.last.calls, []);
});

test('one conversation is acknowledged by seq: its cursor would speak of all the others, too', async () => {
  const { ws, client, clock } = givenClient({ follow: { conversation: '0:1:me:you', after: 4 } });
  client.start();
  ws.last.report.batch([message(5, { cursor: 'e-90' })]);
  await clock.pass(200);
  assert.deepEqual(ws.last.calls.map(({ method, params }) => [method, params]),
    [['message.ack', { conversation: '0:1:me:you', seq: 5 }]]);
});

test('a poll acknowledges by its next cursor alone', async () => {
  const fetch = fakeFetch(() => ({ body: {} }));
  const { client, poll, clock } = givenClient({ transport: 'poll', cursor: 'e-10', fetch });
  client.start();
  poll.last.report.batch([]);
  poll.last.report.batch([message(11)]);
  await clock.pass(1000);
  assert.deepEqual(fetch.asked, []);
});

/* ---- sending ---- */

test('a message gets the server’s answer', async () => {
  const { client, ws } = await givenOnline();
  const sent = client.sendMessage({ to: 'you', body: { text: 'hi' } });
  const [{ method, params, resolve }] = ws.last.calls;
  assert.equal(method, 'message.send');
  assert.match(params.client_msg_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  resolve({ conversation: '0:1:me:you', seq: 4, cursor: 'e-14', ts: 9, duplicate: false });
  const stored = await sent;
  assert.deepEqual([stored.seq, stored.from, stored.body, stored.client_msg_id],
    [4, 'me', { text: 'hi' }, params.client_msg_id]);
  assert.equal(client.cursor, 'e-10', 'an answer is no delivery');
  assert.deepEqual(client.pending, []);
});

test('it is resent under the same id over whatever is live', async () => {
  const fetch = fakeFetch(() => ({ body: { conversation: '0:1:me:you', seq: 4, cursor: 'e-14', duplicate: true } }));
  const { client, ws, clock } = await givenOnline({ fetch });
  const sent = client.sendMessage({ to: 'you', body: { text: 'hi' } });
  const [first] = ws.last.calls;
  ws.last.report.down(lost);
  first.reject(new RungError('disconnected'));
  await clock.pass(250);
  const stored = await sent;
  assert.equal(fetch.asked[0].url, 'http://rung.test/v1/message.send');
  assert.equal(fetch.asked[0].init.headers.Authorization, 'Bearer T');
  assert.deepEqual(fetch.asked[0].params, first.params);
  assert.equal(stored.duplicate, true);
});

test('no answer is a reason to ask again, and a late answer is one', async () => {
  const { client, ws, clock } = await givenOnline();
  const sent = client.sendMessage({ to: 'you', body: {} });
  await clock.pass(15_000 + 250);
  const { calls } = ws.last;
  assert.equal(calls.length, 2);
  assert.deepEqual(calls[1].params, calls[0].params);
  calls[0].resolve({ seq: 7 });
  assert.equal((await sent).seq, 7);
  calls[1].reject(new RungError('conflict'));
  await clock.pass(60_000);
  assert.equal(calls.length, 2);
});

test('attempts are spread by full jitter and what the server asks for', async () => {
  const { client, ws, clock } = await givenOnline();
  client.sendMessage({ to: 'you', body: {} });
  const { calls } = ws.last;
  calls[0].reject(new RungError('rate_limited', 'slow down', { retryAfterMs: 3000 }));
  await clock.pass(3249);
  assert.equal(calls.length, 1);
  await clock.pass(1);
  assert.equal(calls.length, 2);
  calls[1].reject(new RungError('unavailable'));
  await clock.pass(499);
  assert.equal(calls.length, 2);
  await clock.pass(1);
  assert.equal(calls.length, 3);
});

test('a message that cannot be is rejected and lets the next one go', async () => {
  const { client, ws } = await givenOnline();
  const unsent = [];
  client.on('unsent', ({ error }) => unsent.push(error.code));
  const first = client.sendMessage({ conversation: 'c', body: {} });
  client.sendMessage({ conversation: 'c', body: {} });
  ws.last.calls[0].reject(new RungError('not_member'));
  await assert.rejects(first, { code: 'not_member' });
  await settled();
  assert.deepEqual(unsent, ['not_member']);
  assert.equal(ws.last.calls.length, 2);
});

test('a retry cannot be overtaken within a conversation, other conversations go on', async () => {
  const { client, ws, clock } = await givenOnline();
  client.sendMessage({ conversation: 'c', body: { text: '1' } });
  client.sendMessage({ conversation: 'c', body: { text: '2' } });
  client.sendMessage({ conversation: 'd', body: { text: '3' } });
  const { calls } = ws.last;
  const texts = () => calls.map(({ params }) => params.body.text);
  assert.deepEqual(texts(), ['1', '3']);
  calls[0].reject(new RungError('internal'));
  await clock.pass(250);
  assert.deepEqual(texts(), ['1', '3', '1']);
  calls[2].resolve({ seq: 1 });
  await settled();
  assert.deepEqual(texts(), ['1', '3', '1', '2']);
});

test('messages to one destination are counted; where the server counts on from elsewhere, it is believed', async () => {
  const { client, ws, clock } = await givenOnline();
  for (const text of ['1', '2', '3']) client.sendMessage({ conversation: 'c', body: text });
  const { calls } = ws.last;
  const counts = () => calls.map(({ params }) => [params.body, params.client_seq]);
  calls[0].reject(new RungError('conflict', 'client_seq: 6 was the last of this device here, 7 is next', { expected: 7 }));
  await clock.pass(0);
  calls[1].resolve({ seq: 1 });
  await settled();
  calls[2].reject(new RungError('not_member')); // its number stays free
  await settled();
  assert.deepEqual(counts(), [['1', 1], ['1', 7], ['2', 8], ['3', 8]]);
  assert.equal(new Set(calls.slice(0, 2).map(({ params }) => params.client_msg_id)).size, 1);
});

test('two tabs that count against each other make a pause; another conflict is final', async () => {
  const { client, ws, clock } = await givenOnline();
  const sent = client.sendMessage({ conversation: 'c', body: 'x' });
  const { calls } = ws.last;
  for (let i = 0; i < 4; i++) {
    calls.at(-1).reject(new RungError('conflict', `client_seq: ${i + 6} was the last of this device here, ${i + 7} is next`, { expected: i + 7 }));
    await clock.pass(0);
  }
  assert.equal(calls.length, 4);
  await clock.pass(2_000);
  assert.equal(calls.length, 5);
  calls[4].reject(new RungError('conflict', 'client_msg_id: already used for another message'));
  await assert.rejects(sent, { code: 'conflict' });
});

test('a message that comes back on the stream is stored, whatever became of the answer', async () => {
  const { client, ws } = await givenOnline();
  const sent = client.sendMessage({ to: 'you', body: {} });
  const { client_msg_id } = ws.last.calls[0].params;
  ws.last.report.batch([message(11, { from: 'you', client_msg_id })]); // somebody else's, by chance
  assert.equal(client.pending.length, 1);
  ws.last.report.batch([message(12, { from: 'me', client_msg_id })]);
  assert.equal((await sent).seq, 12);
  assert.deepEqual(client.pending, []);
});

test('a new connection does not wait out a backoff', async () => {
  const { client, ws, clock } = await givenOnline({ random: () => 0.99 });
  client.sendMessage({ to: 'you', body: {} });
  ws.last.calls[0].reject(new RungError('disconnected'));
  ws.last.report.down(lost);
  await settled();
  client.retryNow();
  ws.last.report.batch([]);
  await clock.pass(0);
  assert.equal(ws.last.calls.length, 1);
});

test('forget() leaves nothing in storage, and nothing to be sent by the next life', async () => {
  const storage = fakeStorage();
  const { client, ws } = await givenOnline({ storage });
  ws.last.report.batch([message(11)]);
  const unsent = assert.rejects(client.sendMessage({ to: 'you', body: 1 }), { code: 'disconnected' });
  await client.forget();
  await unsent;
  assert.deepEqual([client.cursor, client.pending], [null, []]);
  const { client: next } = await givenRestored(storage);
  assert.deepEqual([next.cursor, next.pending], [null, []]);
});

test('unsent messages survive in storage, under their ids', async () => {
  const storage = fakeStorage();
  const first = await givenOnline({ storage });
  first.client.sendMessage({ to: 'you', body: { text: 'before the reload' } });
  const [{ params: { client_seq, ...params } }] = first.ws.last.calls;
  assert.equal(client_seq, 1);
  first.client.close();

  const second = await givenRestored(storage);
  assert.deepEqual(second.client.pending, [params]);
  const sent = [];
  second.client.on('sent', ({ seq }) => sent.push(seq));
  assert.equal(second.fetch.asked[0].params.client_msg_id, params.client_msg_id);
  second.ws.last.report.batch([]);
  await second.clock.pass(30_000);
  second.ws.last.calls[0].resolve({ seq: 8 });
  await settled();
  assert.deepEqual(sent, [8]);
});

const tokenOf = (claims) => `e30.${btoa(JSON.stringify(claims))}.s`;

test('what storage keeps is seen by the same user of the same app and inbox alone', async () => {
  const storage = fakeStorage();
  const mine = { token: tokenOf({ sub: 'me', app: 'shop', inbox: 1 }) };
  const first = await givenOnline({ storage, ...mine });
  first.ws.last.report.batch([message(17)]);
  first.client.sendMessage({ to: 'you', body: { text: 'for the shop' } });
  first.client.close();

  for (const claims of [{ sub: 'me', app: 'bank', inbox: 1 }, { sub: 'me', app: 'shop', inbox: 2 }, { sub: 'her', app: 'shop', inbox: 1 }]) {
    const { client } = await givenRestored(storage, { token: tokenOf(claims), user: undefined });
    assert.deepEqual([client.cursor, client.pending], [null, []]);
    client.close();
  }
  const { client } = await givenRestored(storage, mine);
  assert.equal(client.cursor, 'e-17');
  assert.deepEqual(client.pending.map(({ body }) => body.text), ['for the shop']);
});

test('what is kept waits for a token that cannot be had yet, and is gone on from', async () => {
  const storage = fakeStorage();
  const mine = { token: tokenOf({ sub: 'me', app: 'shop' }), user: undefined };
  const first = await givenOnline({ storage, ...mine });
  first.ws.last.report.batch([message(17)]);
  first.client.sendMessage({ to: 'you', body: 1 });
  first.client.close();

  let network = false;
  const getToken = async () => {
    if (!network) throw new TypeError('no network');
    return mine.token;
  };
  const { client, ws, clock } = givenClient({ storage, user: undefined, token: undefined, getToken });
  client.start();
  await settled();
  const { state, attempt, error, retryAt } = client.status;
  assert.deepEqual([state, attempt, error.code, retryAt > clock.now()], ['waiting', 1, 'network', true]);
  network = true;
  await clock.pass(BASE_MS);
  await client.ready;
  await settled();
  assert.deepEqual(ws.last.position, { cursor: 'e-17' });
  assert.equal(client.pending.length, 1);
});

test('who is refused a token waits no longer than until closed, or told to retry', async () => {
  let asked = 0;
  const getToken = async () => {
    asked++;
    throw new TypeError('no network');
  };
  const { client, clock } = givenClient({ storage: fakeStorage(), user: undefined, token: undefined, getToken });
  client.start();
  await settled();
  client.retryNow();
  await settled();
  assert.deepEqual([asked, client.status.attempt], [2, 2]);
  client.close();
  await clock.pass(CAP_MS);
  assert.deepEqual([asked, client.status.state], [2, 'idle']);
});

test('ids sort by time', () => {
  assert.ok(uuid7(1_763_600_000_000) < uuid7(1_763_600_000_001));
  assert.equal(uuid7(0x0192aabbccdd).slice(0, 13), '0192aabb-ccdd');
});

/* ---- calls ---- */

test('a read that was lost with its connection goes by POST, a write does not', async () => {
  const fetch = fakeFetch(() => ({ body: { conversations: [] } }));
  const { client, ws } = await givenOnline({ fetch });
  const list = client.list();
  const invite = client.invite('c', ['x']);
  for (const { reject } of ws.last.calls) reject(new RungError('disconnected'));
  assert.deepEqual(await list, { conversations: [] });
  await assert.rejects(invite, { code: 'disconnected' });
});

test('errors keep the server’s words', async () => {
  const fetch = fakeFetch(() => ({ status: 429, body: { error: { code: 'rate_limited', message: 'too fast', retry_after_ms: 70 } } }));
  const { client } = givenClient({ fetch });
  await assert.rejects(client.call('message.read'), { code: 'rate_limited', message: 'too fast', status: 429, retryAfterMs: 70, retryable: true });
});

test('a proxy’s HTML page is not the server’s word', async () => {
  const fetch = fakeFetch(() => ({ status: 502, body: '<html>' }));
  const { client } = givenClient({ fetch });
  await assert.rejects(client.call('message.read'), { code: 'intercepted', status: 502 });
});

test('login() takes the token and renews it when a call finds it stale', async () => {
  let logins = 0;
  const fetch = fakeFetch((url, { headers }) => {
    if (url.endsWith('/demo.login')) return { body: { token: `T${++logins}`, user: 'alice' } };
    if (headers.Authorization === 'Bearer T1') return { status: 401, body: { error: { code: 'token_expired' } } };
    return { body: { ok: true } };
  });
  const { client } = givenClient({ fetch, token: undefined, user: undefined });
  assert.equal((await client.login('alice')).user, 'alice');
  assert.equal(client.user, 'alice');
  assert.deepEqual(await Promise.all([client.call('a'), client.call('b')]), [{ ok: true }, { ok: true }]);
  assert.equal(logins, 2, 'renewed once for both');
});
