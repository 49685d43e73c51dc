// The four carries on the wire: what each asks for, and how it takes the answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RungClient, RungError } from '../../web/rung.js';
import { FakeClock, fakeFetch, fakeStorage, message, settled } from './lib/fakes.mjs';

const HELLO = { event: 'hello', cursor: 'e-10', heartbeat_ms: 60_000 };

class FakeSocket {
  static all = [];
  readyState = 0;
  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close(code) {
    this.closedWith = code;
    this.readyState = 3;
  }

  opens() {
    this.readyState = 1;
    this.onopen();
  }

  says(...objects) {
    this.onmessage({ data: objects.map((object) => JSON.stringify(object)).join('\n') });
    return settled();
  }

  ends(code, reason = '') {
    this.readyState = 3;
    this.onclose({ code, reason });
    return settled();
  }
}

class FakeEventSource {
  static all = [];
  #listeners = new Map();
  closed = false;

  constructor(url) {
    this.url = url;
    FakeEventSource.all.push(this);
  }

  addEventListener(kind, listener) {
    this.#listeners.set(kind, listener);
  }

  says(event) {
    this.#listeners.get(event.event)({ data: JSON.stringify(event) });
  }

  close() {
    this.closed = true;
  }
}

async function given(transport, answers = () => ({ body: {} }), options = {}) {
  FakeSocket.all = [];
  FakeEventSource.all = [];
  const clock = new FakeClock();
  const fetch = fakeFetch(answers);
  const client = new RungClient({ url: 'http://rung.test', token: 'T', user: 'me', device: 'd', cursor: 'e-10',
    transport, clock, fetch, WebSocket: FakeSocket, EventSource: FakeEventSource, random: () => 0.5, ...options });
  const heard = [];
  client.on('message', ({ seq }) => heard.push(seq));
  client.start();
  await settled();
  return { client, clock, fetch, heard, socket: FakeSocket.all[0], source: FakeEventSource.all[0] };
}

/* ---- ws ---- */

test('ws authenticates in its first frame, with the cursor, and no token in the URL', async () => {
  const { client, socket } = await given('ws');
  assert.deepEqual([socket.url, socket.protocol], ['ws://rung.test/v1/ws', 'rung.v1']);
  socket.opens();
  assert.deepEqual(socket.sent, [{ id: 1, method: 'auth', params: { token: 'T', device: 'd', cursor: 'e-10' } }]);
  assert.equal(client.status.state, 'connecting');
  await socket.says({ id: 1, result: {} }, HELLO);
  assert.equal(client.status.transport, 'ws');
});

test('ws takes a frame of several objects, answers and events', async () => {
  const { client, socket, heard } = await given('ws');
  socket.opens();
  await socket.says({ id: 1, result: {} }, { event: 'hello', cursor: 'e-10', heartbeat_ms: 1000 }, message(11));
  const asked = client.call('session.info');
  await settled();
  assert.deepEqual(socket.sent[1], { id: 2, method: 'session.info', params: {} });
  await socket.says(message(12), { id: 2, result: { user: 'me' } }, message(13));
  assert.deepEqual(await asked, { user: 'me' });
  assert.deepEqual(heard, [11, 12, 13]);
});

test('ws: an error answer rejects its call only', async () => {
  const { client, socket } = await given('ws');
  socket.opens();
  await socket.says({ id: 1, result: {} }, HELLO);
  const refused = assert.rejects(client.call('message.read', {}), { code: 'not_member', message: 'you are not in it' });
  await socket.says({ id: 2, error: { code: 'not_member', message: 'you are not in it' } });
  await refused;
  assert.equal(client.status.state, 'online');
});

for (const [code, reason, state] of [
  [1000, '', 'waiting'], [1001, 'draining', 'waiting'], [1006, '', 'waiting'], [1008, '', 'waiting'],
  [4000, 'slow', 'waiting'], [4099, '', 'waiting'],
  [4100, '', 'stopped'], [4101, 'unauthorized', 'stopped'], [4199, 'session_kicked', 'stopped'],
])
  test(`ws: close code ${code} ${reason} leads to ${state}`, async () => {
    const { client, socket } = await given('ws');
    socket.opens();
    await socket.says({ id: 1, result: {} }, HELLO);
    await socket.ends(code, reason);
    assert.equal(client.status.state, state);
  });

test('ws: a final close for the token’s sake reconnects when there is another token', async () => {
  let tokens = 0;
  const { client, clock, socket } = await given('ws', undefined, { token: undefined, getToken: async () => `T${++tokens}` });
  socket.opens();
  await socket.says({ id: 1, result: {} }, HELLO);
  await socket.ends(4100, 'token_expired');
  assert.equal(client.status.state, 'waiting');
  await clock.pass(1000);
  FakeSocket.all[1].opens();
  assert.equal(FakeSocket.all[1].sent[0].params.token, 'T2');
});

test('ws: calls under way when it is closed are told', async () => {
  const { client, socket } = await given('ws');
  socket.opens();
  await socket.says({ id: 1, result: {} }, HELLO);
  const asked = client.call('message.read', {});
  await settled();
  client.close();
  assert.equal(socket.closedWith, 1000);
  await assert.rejects(asked, { code: 'disconnected' });
});

test('ws: closed for a message that is too large, it refuses the largest, and only that', async () => {
  const { client, socket } = await given('ws');
  socket.opens();
  await socket.says({ id: 1, result: {} }, HELLO);
  const small = assert.rejects(client.call('message.read', { of: 'x'.repeat(150) }), { code: 'disconnected' });
  const large = assert.rejects(client.call('message.read', { of: '你'.repeat(100) }), { code: 'too_large', retryable: false });
  await settled();
  await socket.ends(1009);
  await Promise.all([small, large]);
});

for (const [code, rests] of [[1002, true], [1003, true], [1007, true], [1008, true], [1009, true], [1006, false], [1011, false]])
  test(`ws: closed with ${code} after a long life, it ${rests ? 'rests' : 'is tried again at once'}`, async () => {
    const { client, clock, socket } = await given('auto', undefined, { memory: fakeStorage() });
    socket.opens();
    await socket.says({ id: 1, result: {} }, HELLO);
    await clock.pass(6_000);
    await socket.ends(code);
    assert.equal(client.rungs[0].retryAt !== null, rests);
    client.close();
  });

test('ws: what is not JSON ends the connection, not the client', async () => {
  const { client, socket } = await given('ws');
  socket.opens();
  await socket.says({ id: 1, result: {} }, HELLO);
  socket.onmessage({ data: '{"event":"mess' });
  await settled();
  assert.equal(socket.closedWith, 1000);
  assert.equal(client.status.state, 'waiting');
});

/* ---- sse ---- */

test('sse opens with a ticket, never a token, and a fresh one each time', async () => {
  let tickets = 0;
  const { client, clock, fetch, heard, source } = await given('sse', () => ({ body: { ticket: `K${++tickets}` } }));
  assert.deepEqual([fetch.asked[0].url, fetch.asked[0].init.headers.Authorization], ['http://rung.test/v1/ticket', 'Bearer T']);
  assert.equal(source.url, 'http://rung.test/v1/sse?ticket=K1&device=d&cursor=e-10');
  source.onopen();
  source.says({ event: 'hello', cursor: 'e-10', heartbeat_ms: 1000 });
  source.says(message(11));
  source.onerror();
  assert.equal(source.closed, true, 'or it would come back by itself with the spent ticket');
  assert.equal(client.status.state, 'waiting');
  await clock.pass(1000);
  assert.equal(FakeEventSource.all[1].url, 'http://rung.test/v1/sse?ticket=K2&device=d&cursor=e-11');
  FakeEventSource.all[1].says(message(11));
  FakeEventSource.all[1].says(message(12));
  assert.deepEqual(heard, [11, 12]);
});

test('sse: a ticket that is refused is a refused token', async () => {
  const { client } = await given('sse', () => ({ status: 401, body: { error: { code: 'token_expired' } } }));
  assert.equal(client.status.state, 'stopped');
});

/* ---- longpoll ---- */

/* A server that answers polls only when the test says so. */
function asking() {
  const parked = [];
  const answers = () => new Promise((resolve, reject) => parked.push({ answer: (body, headers) => resolve({ body, headers }), reject }));
  return { parked, answers };
}

test('longpoll first asks without waiting, then parks, each time with the cursor it has', async () => {
  const { parked, answers } = asking();
  const { client, fetch, heard } = await given('longpoll', answers);
  parked[0].answer({ cursor: 'e-10', events: [], more: false });
  await settled();
  assert.equal(client.status.transport, 'longpoll');
  parked[1].answer({ cursor: 'e-12', events: [message(11), message(12)], more: true });
  await settled();
  assert.deepEqual(fetch.asked.map(({ url }) => url), [
    'http://rung.test/v1/longpoll?cursor=e-10&wait=0&device=d',
    'http://rung.test/v1/longpoll?cursor=e-10&wait=25&device=d',
    'http://rung.test/v1/longpoll?cursor=e-12&wait=25&device=d']);
  assert.equal(fetch.asked[0].init.headers.Authorization, 'Bearer T');
  assert.deepEqual(heard, [11, 12]);
});

test('longpoll does not spin on a server that answers at once with nothing', async () => {
  const { clock, fetch } = await given('longpoll', () => ({ body: { cursor: 'e-10', events: [], more: false } }));
  await clock.pass(10_000);
  assert.ok(fetch.asked.length <= 12, `${fetch.asked.length} requests in ten seconds`);
});

test('longpoll: an answer that never comes is given up, and asked for again from the same cursor', async () => {
  const { parked, answers } = asking();
  const { client, clock, fetch } = await given('longpoll', (url, { signal }) => {
    const answer = answers();
    signal.addEventListener('abort', () => parked.at(-1).reject(new Error('aborted')));
    return answer;
  });
  parked[0].answer({ cursor: 'e-10', events: [], more: false });
  await clock.pass(35_000);
  assert.equal(client.status.error.code, 'timeout');
  await clock.pass(1_000);
  assert.match(fetch.asked[2].url, /cursor=e-10&wait=0/);
});

test('longpoll stops asking when it is closed', async () => {
  const { parked, answers } = asking();
  const { client, fetch, heard } = await given('longpoll', answers);
  parked[0].answer({ cursor: 'e-10', events: [], more: false });
  await settled();
  client.close();
  assert.equal(fetch.asked[1].init.signal.aborted, true);
  parked[1].answer({ cursor: 'e-11', events: [message(11)], more: false });
  await settled();
  assert.deepEqual(heard, []);
  assert.equal(fetch.asked.length, 2);
});

test('longpoll: bye is an answer too', async () => {
  const { client, fetch, clock } = await given('longpoll', () =>
    ({ body: { cursor: 'e-10', events: [{ event: 'bye', reason: 'draining', retry_after_ms: 5000 }], more: false } }));
  assert.equal(client.status.state, 'waiting');
  await clock.pass(4999);
  assert.equal(fetch.asked.length, 1);
});

/* ---- poll ---- */

test('poll pauses between questions, as long as the server likes, not when there is more', async () => {
  const { parked, answers } = asking();
  const { clock, fetch } = await given('poll', answers);
  const asked = () => fetch.asked.length;
  parked[0].answer({ cursor: 'e-11', events: [message(11)], more: true });
  await clock.pass(0);
  assert.equal(asked(), 2);
  assert.equal(fetch.asked[1].url, 'http://rung.test/v1/poll?cursor=e-11&device=d');
  parked[1].answer({ cursor: 'e-11', events: [], more: false });
  await clock.pass(1999);
  assert.equal(asked(), 2);
  await clock.pass(1);
  assert.equal(asked(), 3);
  parked[2].answer({ cursor: 'e-11', events: [], more: false }, { 'Retry-After': '7' });
  await clock.pass(6999);
  assert.equal(asked(), 3);
  await clock.pass(1);
  assert.equal(asked(), 4);
});

test('poll: an answer that cannot be ends in words, not in silence', async () => {
  const { client } = await given('poll', () => ({ status: 400, body: { error: { code: 'bad_request', message: 'cursor: not one of ours' } } }));
  assert.equal(client.status.state, 'stopped');
  assert.ok(client.status.error instanceof RungError);
  assert.match(client.status.error.message, /cursor/);
});

/* ---- jsonp ---- */

/* A page whose script tags the test answers. */
function givenPage(t) {
  const scripts = [];
  globalThis.document = {
    createElement: () => ({ remove() {} }),
    head: { append: (script) => scripts.push(script) },
  };
  t.after(() => delete globalThis.document);
  const answer = async (value) => {
    const { searchParams } = new URL(scripts.at(-1).src);
    globalThis[searchParams.get('callback')](value);
    await settled();
  };
  return { scripts, answer, callbacks: () => Object.keys(globalThis).filter((name) => name.startsWith('__rung')) };
}

test('jsonp refuses what no URL can carry, for good', async (t) => {
  const { scripts, answer } = givenPage(t);
  const { client } = await given('jsonp', undefined, { tabs: false, memory: fakeStorage() });
  await answer({ events: [], cursor: 'e-10' });
  assert.equal(client.status.transport, 'jsonp');
  const before = scripts.length;
  await assert.rejects(client.sendMessage({ to: 'you', body: 'x'.repeat(8_000) }), { code: 'too_large' });
  assert.equal(scripts.length, before);
  assert.deepEqual(client.pending, []);
  client.close();
});

test('jsonp leaves no callback behind that was called, and one for an answer that is late', async (t) => {
  const { answer, callbacks } = givenPage(t);
  const { client } = await given('jsonp', undefined, { tabs: false, memory: fakeStorage() });
  const asked = callbacks().length;
  await answer({ events: [], cursor: 'e-10' });
  await answer({ events: [message(11)], cursor: 'e-11' });
  assert.equal(callbacks().length, asked, 'that of the next poll');
  client.close();
  await settled();
  await answer({ events: [], cursor: 'e-11' });
  assert.equal(callbacks().length, asked - 1);
});
