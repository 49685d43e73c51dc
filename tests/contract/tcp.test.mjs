// What only raw TCP can do wrong, and what only it can do.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { chop } from '../lib/frames.mjs';
import { p2p, scenario } from '../lib/story.mjs';
import { eventually, pause, within } from '../lib/wait.mjs';

/** A socket at the port for lines, and the lines that it is told. */
class Lines {
  told = [];
  ended = false;
  #rest = '';

  constructor(scene, port = scene.server.linePort) {
    this.socket = net.connect({ port, host: '127.0.0.1',
                                allowHalfOpen: true });
    this.socket.setNoDelay(true);
    this.socket.setEncoding('utf8').on('data', (text) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop();
      this.told.push(...lines.map((line) => JSON.parse(line)));
    });
    this.socket.on('error', () => {});
    this.socket.on('end', () => { this.ended = true; });
    this.closed = new Promise((resolve) => this.socket.on('close', () => {
      this.ended = true; // what is still written to an end may be answered so
      resolve();
    }));
    scene.onClose(() => this.socket.destroy());
  }

  /** A call, without waiting for anything. */
  call(id, method, params = {}) {
    this.socket.write(`${JSON.stringify({ id, method, params })}\n`);
  }

  auth(person, more = {}) {
    this.call('auth', 'auth', { token: person.token, ...more });
    return this.find((line) => line.event === 'hello');
  }

  /** The first line that matches, when it has come. */
  find(match) {
    return eventually(() => this.told.find(match), 'a line', 8000);
  }

  /** What the last line says, when the server has closed. */
  async last() {
    await eventually(() => this.ended, 'the server closes', 8000);
    return this.told.at(-1);
  }
}

scenario('lines may come in any pieces, several at once, with LF or CRLF',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const peer = new Lines(scene);
  const calls = [
    ['auth', { token: alice.token }],
    ['message.send', { to: bob.name, body: { text: 'grüße 中文' } }],
    ['session.info', {}],
  ].map(([method, params], id) => JSON.stringify({ id, method, params }));

  for (const byte of chop(Buffer.from(`\r\n${calls[0]}\r\n`), 7)) {
    peer.socket.write(byte);
    await pause(0);
  }
  await peer.find((line) => line.id === 0);
  peer.socket.write(`${calls[1]}\n\n${calls[2]}\r\n`);
  const sent = await peer.find((line) => line.id === 1);
  assert.equal(sent.result.seq, 1);
  const info = await peer.find((line) => line.id === 2);
  assert.ok(info.result.transports.includes('tcp'));
  const { messages } = await bob.history(p2p(alice, bob));
  assert.equal(messages[0].body.text, 'grüße 中文');
});

scenario('the first method must be auth, and comes once', async (scene) => {
  const bob = await scene.person('bob');
  const peer = new Lines(scene);

  peer.call(1, 'session.info');
  const early = await peer.find((line) => line.id === 1);
  assert.equal(early.error.code, 'unauthorized');
  peer.call(2, 'auth', { token: 'nonsense' });
  const wrong = await peer.find((line) => line.id === 2);
  assert.equal(wrong.error.code, 'unauthorized');
  await peer.auth(bob);
  peer.call(3, 'auth', { token: bob.token });
  const twice = await peer.find((line) => line.id === 3);
  assert.equal(twice.error.code, 'conflict');
});

scenario('a line that is no call is answered with an error, and no more',
         async (scene) => {
  const bob = await scene.person('bob');
  const peer = new Lines(scene);
  await peer.auth(bob);

  for (const line of ['nonsense', '{"id":1}', '[]', ' '])
    peer.socket.write(`${line}\n`);
  await eventually(() => peer.told.filter(({ error }) =>
    error?.code === 'bad_request').length === 4, 'four errors');
  peer.call('well', 'session.info');
  assert.ok((await peer.find((line) => line.id === 'well')).result);
});

/* --- what closes ----------------------------------------------------------- */

const ends = {
  'a line too large': {
    close: 1009, code: 'too_large',
    say: (peer) => peer.socket.write(`{"x":"${'x'.repeat(70000)}`),
  },
  'text that is no UTF-8': {
    close: 1007, code: 'bad_request',
    say: (peer) => peer.socket.write(Buffer.from('7b22ff227d0a', 'hex')),
  },
  'a thousand refused requests in a row': {
    close: 1008, code: 'rate_limited',
    say: (peer) => peer.socket.write('x\n'.repeat(3000)),
  },
};

for (const [what, { close, code, say }] of Object.entries(ends))
  scenario(`${what}: the last line says why`, async (scene) => {
    const peer = new Lines(scene);
    await peer.auth(await scene.person('bob'));

    say(peer);
    const last = await peer.last();
    assert.equal(last.event, 'error');
    assert.equal(last.close, close);
    assert.equal(last.error.code, code);
    peer.socket.end();
    await within(5000, peer.closed, 'the connection ends');
    await scene.server.answers();
  });

scenario('who speaks no JSON is told so at once', {
  env: { RUNG_HEADER_TIMEOUT_MS: '60000' },
}, async (scene) => {
  for (const words of ['GET / HTTP/1.1\r\nHost: localhost\r\n\r\n',
                       'P', '<policy-file-request/>\0',
                       '\x16\x03\x01\x02\x00\x01', '[]\n', '\0']) {
    const peer = new Lines(scene);
    peer.socket.write(words);
    const last = await peer.last();
    assert.equal(last.close, 1002, words);
    assert.match(last.error.message, /JSON/);
  }
});

scenario('who drips bytes, or says nothing, is cut by the deadline', {
  env: { RUNG_HEADER_TIMEOUT_MS: '1000' },
}, async (scene) => {
  const [silent, dripping, asking] =
    [new Lines(scene), new Lines(scene), new Lines(scene)];
  dripping.socket.write('{"id":1,"method":"au');
  const drip = setInterval(() => {
    dripping.socket.write('x');
    asking.call(1, 'session.info');
  }, 50);

  try {
    for (const peer of [silent, dripping, asking])
      assert.equal((await peer.last()).close, 4100);
  } finally {
    clearInterval(drip);
  }
});

scenario('who closes its side is answered first, also the line without an end',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const peer = new Lines(scene);
  await peer.auth(alice);

  for (let id = 0; id < 20; id++)
    peer.call(id, 'message.send', { to: bob.name, body: { text: `n${id}` } });
  peer.socket.end(JSON.stringify({
    id: 'last', method: 'message.send',
    params: { to: bob.name, body: { text: 'unended' } },
  }));
  await peer.last();
  assert.ok(peer.told.some(({ id, result }) => id === 'last' && result));
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 21);
  assert.ok(!peer.told.some(({ event }) => event === 'error'));
  await within(5000, peer.closed, 'the connection ends');
});

scenario('half a line does not become a call when the peer goes',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const peer = new Lines(scene);
  await peer.auth(alice);

  peer.socket.end('{"id":1,"method":"message.send","params":{"to":"' +
                  `${bob.name}","body":"ha`);
  assert.equal((await peer.last()).error.code, 'bad_request');
  assert.deepEqual(await bob.readAll(), []);
});

scenario('a drained server tells those, too, who have not said who they are',
         async (scene) => {
  const known = new Lines(scene);
  const unknown = new Lines(scene);
  await known.auth(await scene.person('bob'));
  unknown.call(1, 'session.info');
  await unknown.find((line) => line.id === 1);

  for (const { socket } of [known, unknown])
    socket.on('end', () => socket.end());
  const stopped = scene.server.stop();
  const bye = await known.last();
  assert.equal(bye.event, 'bye');
  assert.equal(bye.reason, 'draining');
  const last = await unknown.last();
  assert.equal(last.close, 1001);
  assert.equal(last.error.code, 'unavailable');
  await stopped;
});

scenario('connections beyond the limit are told so in a line', {
  env: { RUNG_MAX_CONNECTIONS: '4', RUNG_WORKERS: '1' },
}, async (scene) => {
  const peers = Array.from({ length: 6 }, () => new Lines(scene));
  const refused = await eventually(() =>
    peers.find(({ told }) => told.length > 0), 'somebody is refused');

  assert.equal((await refused.last()).close, 1013);
  assert.equal(refused.told[0].error.code, 'unavailable');
  assert.ok(refused.told[0].error.retry_after_ms > 0);
});

/* --- who does not read ----------------------------------------------------- */

scenario('who reads no replies for a while gets them whole, or is told why not',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, ...Array(12).fill('x'.repeat(60000)));
  const peer = new Lines(scene);
  await peer.auth(alice);
  const asked = Array.from({ length: 40 }, (_, id) => id);
  const replied = () => peer.told.map(({ id }) => id).filter(Number.isInteger);

  peer.socket.pause();
  for (const id of asked) // of 700 KB each: more than the sockets hold
    peer.call(id, 'message.history', { conversation: p2p(alice, bob),
                                       limit: 200 });
  await scene.server.answers();
  peer.socket.resume();
  // Lines has parsed each of them
  await eventually(() => peer.ended || replied().length === asked.length,
                   'all replies', 20000);
  assert.deepEqual(replied(), asked.slice(0, replied().length));
  if (peer.ended) // more than a MiB of them waited
    assert.equal(peer.told.at(-1).close, 1008);
});

/* --- nc --------------------------------------------------------------------- */

scenario('nc follows and sends', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const nc = spawn('nc', ['127.0.0.1', String(scene.server.linePort)]);
  let text = '';

  scene.onClose(() => nc.kill('SIGKILL'));
  nc.stdout.setEncoding('utf8').on('data', (part) => { text += part; });
  const lines = () => text.split('\n').slice(0, -1).map((l) => JSON.parse(l));
  const say = (id, method, params) =>
    nc.stdin.write(`${JSON.stringify({ id, method, params })}\n`);
  const heard = (match) => eventually(() => lines().find(match), text);

  say(1, 'auth', { token: bob.token, cursor: '0' });
  await heard(({ id, result }) => id === 1 && result.user === bob.name);
  await heard(({ event }) => event === 'hello');
  await alice.send(bob, 'hello nc');
  await heard(({ body }) => body?.text === 'hello nc');
  say(2, 'message.send', { to: alice.name, body: { text: 'from nc' } });
  await heard(({ id, result }) => id === 2 && result.seq === 2);
  const { messages } = await alice.history(p2p(alice, bob));
  assert.equal(messages.at(-1).body.text, 'from nc');
});

scenario('a script with nc -N gets every answer and then the end',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const nc = spawn('nc', ['-N', '127.0.0.1', String(scene.server.linePort)]);
  const calls = [
    { id: 1, method: 'auth', params: { token: alice.token } },
    { id: 2, method: 'message.send',
      params: { to: bob.name, body: { text: 'by script' } } },
  ];
  let text = '';

  scene.onClose(() => nc.kill('SIGKILL'));
  nc.stdout.setEncoding('utf8').on('data', (part) => { text += part; });
  const over = new Promise((resolve) => nc.on('close', resolve));
  nc.stdin.end(calls.map((one) => `${JSON.stringify(one)}\n`).join(''));
  assert.equal(await within(8000, over, 'nc ends'), 0);
  const told = text.trimEnd().split('\n').map((line) => JSON.parse(line));
  for (const one of [1, 2])
    assert.ok(told.some(({ id, result }) => id === one && result), text);
});
