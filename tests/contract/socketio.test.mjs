// What is behind Socket.IO on `rung serve`: the namespace / is a session, its
// events are methods, what is emitted is the log, and a recovery is a resume
// from it.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { io } from 'socket.io-client';
import io2 from 'socket.io-client-2';
import { Channel, Polling } from '../conformance/engine.mjs';
import { Server } from '../lib/server.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const PATH = '/socket.io/';
const ways = { websocket: ['websocket'], polling: ['polling'],
               both: ['polling', 'websocket'] };
const overWays = { over: Object.keys(ways) };

/* Where connections break: a stock client that loses its WebSocket in the middle
 * of an upgrade learns of it from pings alone that do not come. */
const pinged = { env: { RUNG_SOCKETIO_PING_INTERVAL_MS: '1000',
                        RUNG_SOCKETIO_PING_TIMEOUT_MS: '2000' } };

const once = (emitter, event) => within(10000, new Promise((resolve) => {
  emitter.once(event, (...args) => resolve(args));
}), `${event} comes`);

/** A stock client that comes back by itself; it ends with the scene. */
function given(scene, { token, ...auth }, options = {}) {
  const socket = io(scene.server.url, {
    transports: ways[scene.transport] ?? ways.websocket, forceNew: true,
    reconnectionDelay: 20, reconnectionDelayMax: 100, auth: { token, ...auth },
    ...options });
  scene.onClose(() => socket.disconnect());
  socket.texts = [];
  socket.cursors = [];
  socket.on('message', (event, cursor) => {
    socket.texts.push(event.body.text);
    socket.cursors.push(cursor);
  });
  return socket;
}

async function connected(scene, person, options) {
  const socket = given(scene, { token: person.token }, options);
  await once(socket, 'connect');
  return socket;
}

const say = (socket, to, text) => socket.timeout(10000).emitWithAck(
  'message.send', { to: String(to), client_msg_id: randomUUID(), type: 'text',
                    body: { text } });

const hears = (socket, texts) => eventually(
  () => socket.texts.length >= texts.length, () =>
    `${texts.length} texts come; so far ${socket.texts.length}`, 15000)
  .then(() => assert.deepEqual(socket.texts, texts));

story('a token lets in, nothing else does', overWays, async (scene) => {
  const alice = await scene.person('alice');
  for (const [auth, code] of [[{}, 'unauthorized'],
                              [{ token: 'abc' }, 'unauthorized'],
                              [{ token: 7 }, 'unauthorized'],
                              [{ token: alice.token, cursor: 'x' },
                               'bad_request']]) {
    const [error] = await once(given(scene, auth), 'connect_error');
    assert.equal(error.data?.code, code, JSON.stringify(auth));
    assert.equal(typeof error.data.message, 'string');
    assert.equal(error.message, error.data.message);
  }
  const socket = given(scene, { token: alice.token });
  const [event, cursor] = await once(socket, 'hello');
  assert.equal(event.event, 'hello');
  assert.equal(event.cursor, cursor);
  assert.ok(socket.connected);
});

story('there is no other namespace', overWays, async (scene) => {
  const alice = await scene.person('alice');
  const socket = await connected(scene, alice);
  const other = socket.io.socket('/admin');
  assert.equal((await once(other, 'connect_error'))[0].message,
               'Invalid namespace');
  assert.equal((await socket.emitWithAck('session.info', {})).user, alice.name);
});

story('each method is an event', overWays, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice);
  const sent = await say(socket, bob, 'hello');
  assert.equal(sent.seq, 1);
  assert.equal(typeof sent.cursor, 'string');
  assert.equal((await bob.history(sent.conversation)).messages[0].body.text,
               'hello');
  const info = await socket.emitWithAck('session.info');
  assert.equal(info.user, alice.name);
  for (const [name, params, code] of [
    ['no.such.method', {}, 'not_found'],
    ['message.send', {}, 'bad_request'],
    ['message.send', [1], 'bad_request'],
    ['message.send', 'text', 'bad_request'],
    ['message.history', { conversation: '0:2:nobody' }, undefined],
  ]) {
    const { error } = await socket.emitWithAck(name, params);
    assert.ok(error, name);
    if (code)
      assert.equal(error.code, code, JSON.stringify([name, params]));
  }
  socket.emit('message.send', { to: bob.name, client_msg_id: randomUUID(),
                                type: 'text', body: { text: 'no ack' } });
  await eventually(async () =>
    (await bob.history(sent.conversation)).messages.length === 2,
  'what asks for no ack is done');
});

story('Rung clients and Socket.IO clients hear each other', overWays,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice);
  const ws = await bob.follow('ws');
  const sse = await bob.follow('sse');
  for (let i = 0; i < 20; i++) {
    await say(socket, bob, `to bob ${i}`);
    await bob.send(alice, `to alice ${i}`);
  }
  const all = Array.from({ length: 20 }, (_, i) =>
    [`to bob ${i}`, `to alice ${i}`]).flat();
  await hears(socket, all);
  for (const follower of [ws, sse]) {
    await eventually(() => follower.texts.length >= 40, 'all come to bob');
    assert.deepEqual(follower.texts, all);
  }
  const chain = await alice.readAll('0');
  assert.deepEqual(socket.cursors, chain
    .filter(({ event }) => event === 'message').map(({ cursor }) => cursor));
});

story('an event is its kind, itself, and its cursor', overWays,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice);
  const seen = [];
  socket.onAny((...args) => seen.push(args));
  await bob.group([alice]);
  await bob.send(alice, '€ 😀 \u2028 "\\');
  await eventually(() => seen.some(([kind]) => kind === 'message'), 'it comes');
  const chain = await alice.readAll('0');
  for (const event of chain.filter(({ event }) => event !== 'receipt')) {
    const [kind, told, cursor] = seen.find(([, { cursor }]) =>
      cursor === event.cursor);
    assert.equal(kind, event.event);
    assert.deepEqual(told, event);
    assert.equal(cursor, event.cursor);
  }
});

story('who names a cursor gets what lies behind it', overWays,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await bob.say(alice, ...Array.from({ length: 300 }, (_, i) => `m${i}`));
  const { cursor } = (await alice.readAll('0'))[99];
  const later = given(scene, { token: alice.token, cursor });
  await hears(later, Array.from({ length: 200 }, (_, i) => `m${i + 100}`));
  const all = given(scene, { token: alice.token, cursor: '0' });
  await hears(all, Array.from({ length: 300 }, (_, i) => `m${i}`));
});

story('a lost connection recovers: the missed first, in order, once',
      { ...overWays, ...pinged }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice);
  assert.equal(socket.recovered, false);
  await bob.send(alice, 'm0');
  await hears(socket, ['m0']);
  for (let round = 0; round < 3; round++) {
    const gone = once(socket, 'disconnect');
    const back = once(socket, 'connect');
    socket.io.engine.close();
    await gone;
    for (let i = 0; i < 30; i++)
      await bob.send(alice, `m${round * 31 + i + 1}`);
    await back;
    assert.ok(socket.recovered, `round ${round}`);
    await bob.send(alice, `m${round * 31 + 31}`);
    await hears(socket, Array.from({ length: (round + 1) * 31 + 1 },
                                   (_, i) => `m${i}`));
  }
});

for (const [how, end] of [['restart', 'stop'], ['kill -9', 'kill']])
  story(`a ${how} is recovered from`, { ...overWays, ...pinged, fresh: true,
                                        timeout: 60000 }, async (scene) => {
    const [alice, bob] = await scene.people('alice', 'bob');
    const socket = await connected(scene, alice);
    await bob.say(alice, 'm0', 'm1');
    await hears(socket, ['m0', 'm1']);
    const gone = once(socket, 'disconnect');
    const back = once(socket, 'connect');
    await scene.server[end]();
    assert.notEqual((await gone)[0], 'io server disconnect');
    await scene.server.start();
    await bob.say(alice, 'm2', 'm3');
    await back;
    assert.ok(socket.recovered);
    await bob.send(alice, 'm4');
    await hears(socket, ['m0', 'm1', 'm2', 'm3', 'm4']);
  });

scenario('messages go on while the server is killed again and again', {
  timeout: 120000, ...pinged,
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice, { transports: ways.both });
  const sent = [];
  let writing = true;
  const writer = (async () => {
    for (let i = 0; writing; i++) {
      const message = { to: alice.name, client_msg_id: `m${i}`, type: 'text',
                        body: { text: `m${i}` } };
      await eventually(() => bob.call('message.send', message)
        .then(() => true, (error) => {
          if (error.status && error.status < 500)
            throw error;
          return false; /* the server is gone: again, with the same id */
        }), 'it is sent', 20000);
      sent.push(`m${i}`);
    }
  })();
  for (let round = 0; round < 4; round++) {
    const before = socket.texts.length;
    await eventually(() => socket.texts.length >= before + 10,
                     'messages come', 20000);
    const back = once(socket, 'connect');
    await scene.server.kill();
    await scene.server.start();
    await back;
    assert.ok(socket.recovered, `round ${round}`);
  }
  writing = false;
  await writer;
  await hears(socket, sent);
});

scenario('another server with the same log recovers it, too', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await connected(scene, alice);
  await bob.send(alice, 'm0');
  await hears(socket, ['m0']);
  const back = once(socket, 'connect');
  await scene.server.kill();
  const other = await Server.start({ dir: scene.server.dir });
  try {
    bob.server = other;
    await bob.send(alice, 'm1');
    socket.io.uri = other.url;
    await back;
    assert.ok(socket.recovered);
    await hears(socket, ['m0', 'm1']);
  } finally {
    socket.disconnect();
    await other.finish();
  }
});

scenario('a pid is another\'s, used up or in use: there is no recovery',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const connect = async (auth) => {
    const channel = await Channel.open(scene.server, { path: PATH });
    scene.onClose(() => channel.close());
    channel.send(`40${JSON.stringify(auth)}`);
    const answer = await channel.next();
    assert.match(answer, /^40\{/);
    const hello = JSON.parse((await channel.next()).slice(2));
    return { channel, hello, ...JSON.parse(answer.slice(2)) };
  };
  const first = await connect({ token: alice.token });
  const { pid } = first;
  const offset = first.hello.at(-1);
  assert.notEqual(pid, first.sid);
  assert.equal(typeof offset, 'string');
  /* in use */
  assert.notEqual((await connect({ token: alice.token, pid, offset })).pid, pid);
  /* another's */
  assert.notEqual((await connect({ token: bob.token, pid, offset })).pid, pid);
  first.channel.close();
  await eventually(async () => {
    const probe = new Polling(scene.server, { path: PATH,
                                              sid: first.channel.sid });
    return (await probe.poll()).json?.code === 1;
  }, 'the end is noticed');
  assert.notEqual((await connect({ token: bob.token, pid, offset })).pid, pid);
  /* nonsense */
  for (const wrong of ['abc', '', '0'.repeat(pid.length), 7, {}, [pid]])
    assert.notEqual((await connect({ token: alice.token, pid: wrong,
                                     offset })).pid, pid);
  for (const wrong of ['abc', '', 7, null])
    assert.notEqual((await connect({ token: alice.token, pid,
                                     offset: wrong })).pid, pid);
  /* its own */
  assert.equal((await connect({ token: alice.token, pid, offset })).pid, pid);
});

scenario('who leaves with much under way may come in again', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const channel = await Channel.open(scene.server, { path: PATH });
  const come = `40${JSON.stringify({ token: alice.token })}`;
  const posts = Array.from({ length: 100 }, () => `42["message.send",${
    JSON.stringify({ to: bob.name, client_msg_id: randomUUID(), type: 'text',
                     body: { text: 'a' } })}]`);
  channel.send(come);
  assert.match(await channel.next(), /^40\{/);
  channel.socket._socket.cork(); /* so that they are read together */
  channel.send(...posts, '41');
  channel.socket._socket.uncork();
  channel.send(come);
  for (let text = ''; !text.startsWith('40{');) {
    text = await channel.next();
    assert.ok(text, 'it comes in again');
  }
  channel.close();
});

scenario('who comes and goes too often is closed',
         { env: { RUNG_CONNECTION_RATE: '10' } }, async (scene) => {
  const alice = await scene.person('alice');
  const channel = await Channel.open(scene.server, { path: PATH });
  const come = `40${JSON.stringify({ token: alice.token })}`;
  for (let i = 0; i < 500; i++)
    channel.send(come, '41');
  await channel.closes();
});

scenario('who comes in anew may not ask anew', {
  env: { RUNG_CONNECTION_RATE: '10' },
}, async (scene) => {
  const alice = await scene.person('alice');
  const channel = await Channel.open(scene.server, { path: PATH });
  const asks = Array.from({ length: 15 }, (_, i) => `42${i}["session.info"]`);
  for (let i = 0; i < 20; i++)
    channel.send(`40${JSON.stringify({ token: alice.token })}`, ...asks, '41');
  for (let text = ''; text !== undefined && !text.includes('rate_limited');)
    text = await channel.next(); /* it is refused, or all of it is closed */
  channel.close();
});

scenario('who is back before its end was noticed misses nothing',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const connect = async (auth) => {
    const channel = await Channel.open(scene.server, { path: PATH });
    scene.onClose(() => channel.close());
    channel.send(`40${JSON.stringify({ token: alice.token, ...auth })}`);
    return { channel, ...JSON.parse((await channel.next()).slice(2)) };
  };
  const first = await connect();
  const offset = JSON.parse((await first.channel.next()).slice(2)).at(-1);
  await bob.send(alice, 'missed');
  const second = await connect({ pid: first.pid, offset });
  assert.notEqual(second.pid, first.pid);
  for (let text = ''; !text.startsWith('42["message",');) {
    text = await second.channel.next();
    assert.ok(text, 'what was missed comes');
  }
});

scenario('no request of a polling session finds a worker that does not know it',
         { env: { RUNG_WORKERS: '4' } }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const headers = { connection: 'close' }; /* each from a socket of its own */
  class Wanderer extends Polling {
    ask(options) {
      return super.ask({ ...options,
                         headers: { ...options?.headers, ...headers } });
    }
  }
  const sessions = await Promise.all(Array.from({ length: 12 }, () =>
    Wanderer.open(scene.server, { path: PATH })));
  for (const session of sessions) {
    await session.send(`40${JSON.stringify({ token: alice.token })}`);
    assert.match(await session.next(), /^40\{/);
    assert.match(await session.next(), /^42\["hello"/);
  }
  for (let i = 0; i < 20; i++) {
    const polls = sessions.map((session) => session.next());
    await bob.send(alice, `m${i}`);
    for (const text of await Promise.all(polls))
      assert.ok(text.startsWith('42["message",') && text.includes(`"m${i}"`),
                text);
  }
  await Promise.all(sessions.map(async (session, i) => {
    await session.send(`42${i}["session.info"]`);
    assert.ok((await session.next()).startsWith(`43${i}[{`));
    const channel = await Channel.open(scene.server, {
      path: PATH, ...session.query });
    scene.onClose(() => channel.close());
    channel.send('2probe');
    assert.equal(await channel.receive(), '3probe');
    channel.send('5', `42${i}["session.info"]`);
    assert.ok((await channel.next()).startsWith(`43${i}[{`));
  }));
});

scenario('who polls late is behind, and no message waits in memory for it',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const session = await Polling.open(scene.server, { path: PATH });
  await session.send(`40${JSON.stringify({ token: alice.token })}`);
  assert.match(await session.next(), /^40\{/);
  assert.match(await session.next(), /^42\["hello"/);
  for (let i = 0; i < 400; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, n) =>
      bob.send(alice, `m${i + n}`)));
  const texts = [];
  while (texts.length < 400) {
    const packets = await session.receive();
    assert.ok(packets.length <= 16);
    for (const packet of packets)
      if (packet.startsWith('42["message",'))
        texts.push(JSON.parse(packet.slice(2))[1]);
  }
  const chain = (await alice.readAll('0'))
    .filter(({ event }) => event === 'message');
  assert.deepEqual(texts, chain);
});

scenario('socket.io-client 2 comes in with --socketio-v3 and its query', {
  args: ['--socketio-v3'],
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  for (const transports of Object.values(ways)) {
    const socket = io2(scene.server.url, {
      transports, forceNew: true, query: { token: alice.token } });
    scene.onClose(() => socket.disconnect());
    const heard = once(socket, 'message');
    await once(socket, 'hello');
    const sent = await within(5000, new Promise((resolve) => {
      socket.emit('message.send', { to: bob.name, client_msg_id: randomUUID(),
                                    type: 'text', body: { text: 'old' } },
                  resolve);
    }), 'the ack comes');
    const [event, cursor] = await heard;
    assert.equal(event.body.text, 'old');
    assert.equal(cursor, sent.cursor);
  }
  const refused = io2(scene.server.url, { forceNew: true });
  scene.onClose(() => refused.disconnect());
  const [error] = await once(refused, 'error');
  assert.ok(error);
});

scenario('the path is configurable', {
  args: ['--socketio-path', '/live/chat/'],
}, async (scene) => {
  const alice = await scene.person('alice');
  await connected(scene, alice, { path: '/live/chat/' });
  const answer = await scene.server.get('/socket.io/?EIO=4&transport=polling');
  assert.equal(answer.status, 404);
});
