// The stock JavaScript clients, unchanged: socket.io-client 4 and 2 and
// engine.io-client, on polling only, on a WebSocket only, and from one to the
// other.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test, { after, before, describe } from 'node:test';
import { Socket as Engine } from 'engine.io-client';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { eventually, within } from '../lib/wait.mjs';
import { givenServer } from './given.mjs';

let server;

before(async () => {
  server = await givenServer({ eio3: 'on', recovery: 'on' });
});
after(() => server.finish());

const ways = [['polling'], ['websocket'], ['polling', 'websocket']];

const once = (emitter, event) => within(10000, new Promise((resolve) => {
  emitter.once(event, (...args) => resolve(args));
}), `${event} comes`);

/** What comes as `event`, kept. */
function heard(emitter, event) {
  const all = [];
  emitter.on(event, (...args) => all.push(args));
  return all;
}

const stock = [
  { name: 'socket.io-client 4', connect: io, auth: (auth) => ({ auth }) },
  { name: 'socket.io-client 2', connect: io2, auth: (query) => ({ query }) },
];

for (const { name, connect, auth } of stock)
  for (const transports of ways)
    describe(`${name} on ${transports.join(' and ')}`, () => {
      const opened = [];
      after(() => opened.forEach((socket) => socket.disconnect()));

      /** A socket of its own connection. */
      function given(space = '/', options = {}) {
        const socket = connect(server.url + space, {
          transports, forceNew: true, reconnectionDelay: 10,
          reconnectionDelayMax: 50, ...options });
        opened.push(socket);
        return socket;
      }

      async function connected(space, options) {
        const socket = given(space, options);
        await once(socket, 'connect');
        return socket;
      }

      async function echo(socket, ...args) {
        const back = once(socket, 'message-back');
        socket.emit('message', ...args);
        return (await back).slice(0, args.length);
      }

      test('connects, and is told what it said of itself', async () => {
        const socket = given('/custom', auth({ token: 'abc' }));
        const [said] = await once(socket, 'auth');
        assert.equal(said.token, 'abc');
      });

      test('says and hears text, numbers, lists', async () => {
        const socket = await connected();
        const args = ['€ 😀 \u2028 "\\ \u0000\u001e', 1.5, [null, { a: true }],
                      { _placeholder: true, num: 0 }];
        assert.deepEqual(await echo(socket, ...args), args);
      });

      test('says and hears bytes', async () => {
        const socket = await connected();
        const bytes = randomBytes(5000);
        const [a, { b }] = await echo(socket, bytes, { b: [Buffer.from([7])] });
        assert.ok(bytes.equals(Buffer.from(a)));
        assert.deepEqual([...Buffer.from(b[0])], [7]);
      });

      test('is acknowledged, with bytes too', async () => {
        const socket = await connected();
        const args = await within(5000, new Promise((resolve) => {
          socket.emit('message-with-ack', 1, { b: Buffer.from([1, 2]) },
                      (...all) => resolve(all));
        }), 'the ack comes');
        assert.equal(args[0], 1);
        assert.deepEqual([...Buffer.from(args[1].b)], [1, 2]);
      });

      test('acknowledges, with bytes too', async () => {
        const socket = await connected();
        socket.on('ask', (question, reply) =>
          reply(`${question}?`, Buffer.from([3])));
        const asked = once(socket, 'asked');
        socket.emit('server-ask', 'well');
        const [text, bytes] = await asked;
        assert.equal(text, 'well?');
        assert.deepEqual([...Buffer.from(bytes)], [3]);
      });

      test('has rooms', async () => {
        const [a, b] = await Promise.all([connected(), connected()]);
        const room = `room-${Math.random()}`;
        const join = (socket) => within(5000, new Promise((resolve) => {
          socket.emit('join', room, resolve);
        }), 'the room is joined');
        await Promise.all([join(a), join(b)]);
        const [atA, atB] = [heard(a, 'hi'), heard(b, 'hi')];
        a.emit('to-room', room, 'hi', 1, Buffer.from([5]));
        a.emit('in-room', room, 'hi', 2);
        await eventually(() => atA.length === 1 && atB.length === 2,
                         'both have heard');
        assert.deepEqual(atA.map(([n]) => n), [2]);
        assert.deepEqual(atB.map(([n]) => n), [1, 2]);
        assert.deepEqual([...Buffer.from(atB[0][1])], [5]);
      });

      test('has several namespaces on one connection', async () => {
        const socket = await connected();
        const other = socket.io.socket('/custom');
        opened.push(other);
        await once(other, 'connect');
        assert.deepEqual(await echo(other, 'there'), ['there']);
        assert.deepEqual(await echo(socket, 'here'), ['here']);
        other.disconnect();
        assert.deepEqual(await echo(socket, 'still here'), ['still here']);
      });

      test('is told that the server has left a namespace', async () => {
        const socket = await connected();
        const gone = once(socket, 'disconnect');
        socket.emit('leave-ns');
        assert.equal((await gone)[0], 'io server disconnect');
      });

      test('is told that it was thrown out', async () => {
        const socket = await connected();
        const gone = once(socket, 'disconnect');
        socket.emit('kick');
        assert.equal((await gone)[0], 'io server disconnect');
      });

      test('comes back when the connection breaks', async () => {
        const socket = await connected();
        const back = once(socket, 'connect');
        socket.io.engine.close();
        await back;
        assert.deepEqual(await echo(socket, 'back'), ['back']);
      });

      test('sends 1,000 messages across its beginning, in order', async () => {
        const socket = given();
        const back = heard(socket, 'message-back');
        await once(socket, 'connect');
        for (let i = 0; i < 1000; i++) {
          socket.emit('message', i);
          if (i % 100 === 99) /* so that some go before the upgrade */
            await new Promise((resolve) => { setImmediate(resolve); });
        }
        await eventually(() => back.length >= 1000, () =>
          `1,000 come back; so far ${back.length}`, 20000);
        assert.deepEqual(back.map(([n]) => n),
                         Array.from({ length: 1000 }, (_, i) => i));
        await eventually(() => socket.io.engine.transport.name ===
                               transports.at(-1), 'it has moved');
      });
    });

describe('socket.io-client 4', () => {
  const opened = [];
  after(() => opened.forEach((socket) => socket.disconnect()));
  const given = (space = '/', options = {}) => {
    const socket = io(server.url + space, { forceNew: true,
                                            reconnectionDelay: 10, ...options });
    opened.push(socket);
    return socket;
  };

  test('is told why it may not in', async () => {
    const [error] = await once(given('/admin'), 'connect_error');
    assert.equal(error.message, 'not authorized');
    assert.deepEqual(error.data, { code: 401, content: 'retry later' });
    const good = given('/admin', { auth: { token: 'good' } });
    await once(good, 'connect');
    const [none] = await once(given('/none'), 'connect_error');
    assert.equal(none.message, 'Invalid namespace');
  });

  for (const transports of ways)
    test(`gives up waiting for an ack on ${transports.join(' and ')}`, async () => {
      const socket = given('/', { transports });
      await once(socket, 'connect');
      await assert.rejects(socket.timeout(50).emitWithAck('no-ack'),
                           /timed out/);
      assert.deepEqual(await socket.timeout(20000)
        .emitWithAck('message-with-ack', 'still here'), 'still here');
    });

  for (const transports of ways)
    test(`recovers on ${transports.join(' and ')}`, async () => {
      const a = given('/', { transports });
      const b = given();
      const got = heard(a, 'news');
      await Promise.all([once(a, 'connect'), once(b, 'connect')]);
      assert.equal(a.recovered, false);
      const { id } = a;
      const room = `room-${Math.random()}`;
      await a.emitWithAck('join', room);
      b.emit('to-room', room, 'news', 1);
      await eventually(() => got.length === 1, 'the first comes');
      const left = once(a, 'disconnect');
      const back = once(a, 'connect');
      a.io.engine.close();
      await left;
      for (let i = 2; i < 12; i++)
        b.emit('to-room', room, 'news', i);
      await back;
      assert.ok(a.recovered);
      assert.equal(a.id, id);
      b.emit('to-room', room, 'news', 12);
      await eventually(() => got.length >= 12, 'all come');
      assert.deepEqual(got.map(([n]) => n),
                       Array.from({ length: 12 }, (_, i) => i + 1));
    });

  test('keeps a burst in order when it moves to a WebSocket', async () => {
    for (let round = 0; round < 5; round++) {
      const socket = given();
      const back = heard(socket, 'message-back');
      await once(socket, 'connect');
      let sent = 0;
      /* all the while it moves */
      while (socket.io.engine.transport.name === 'polling' || sent < 200) {
        socket.emit('message', sent++);
        await new Promise((resolve) => { setImmediate(resolve); });
      }
      await eventually(() => back.length >= sent, 'all come back', 10000);
      assert.deepEqual(back.map(([n]) => n),
                       Array.from({ length: sent }, (_, i) => i));
      socket.disconnect();
    }
  });
});

describe('engine.io-client', () => {
  for (const transports of ways)
    test(`on ${transports.join(' and ')}`, async () => {
      const socket = new Engine(server.url.replace('http', 'ws'),
                                { transports, path: '/engine.io/' });
      const got = heard(socket, 'message');
      await once(socket, 'open');
      const bytes = randomBytes(2000);
      socket.send('text €');
      socket.send(bytes);
      for (let i = 0; i < 1000; i++)
        socket.send(String(i));
      await eventually(() => got.length >= 1002, () =>
        `all come back; so far ${got.length}`, 20000);
      assert.equal(got[0][0], 'text €');
      assert.ok(bytes.equals(Buffer.from(got[1][0])));
      assert.deepEqual(got.slice(2).map(([text]) => Number(text)),
                       Array.from({ length: 1000 }, (_, i) => i));
      await eventually(() => socket.transport.name === transports.at(-1),
                       'it has moved');
      const closed = once(socket, 'close');
      socket.close();
      await closed;
    });
});
