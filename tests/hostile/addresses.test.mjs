// One address cannot take all the connections, whatever becomes of them; and
// none is counted for longer than it lives.

import assert from 'node:assert/strict';
import net from 'node:net';
import { streams } from '../lib/followers.mjs';
import { handshake } from '../lib/frames.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const most = 6;
const limited = { RUNG_MAX_CONNECTIONS_PER_ADDRESS: String(most) };
const refusal = /^HTTP\/1\.1 429 .*more than 6 connections of this address/s;

/** A connection from `address` that says `bytes`; `text` is what comes back. */
function guest(scene, bytes, address = '127.0.0.2') {
  const socket = net.connect({ port: scene.server.port, host: '127.0.0.1',
                               localAddress: address });
  const one = { socket, text: '' };
  scene.onClose(() => socket.destroy());
  socket.on('error', () => {});
  socket.setEncoding('latin1').on('data', (part) => { one.text += part; });
  one.closed = new Promise((resolve) => socket.on('close', resolve));
  socket.write(bytes);
  return one;
}

const page = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
const answered = (one) => eventually(() => one.text.includes('HTTP/1.1 ') &&
  one.text, 'an answer');

/** Ways to occupy a connection; each is also what becomes of a kept one. */
const ways = {
  'nothing': () => '',
  'half a head': () => 'GET /v1/po',
  'a page, kept': () => page,
  'a bad head': () => 'BAD\r\n\r\n',
  'a parked poll': ({ bob, now }) => `GET /v1/longpoll?cursor=${now}&wait=60` +
    `&access_token=${bob.token} HTTP/1.1\r\nHost: x\r\n\r\n`,
  'a websocket': ({ bob }) => handshake(`/v1/ws?access_token=${bob.token}`),
  'a websocket on a kept connection': ({ bob }) => page +
    handshake(`/v1/ws?access_token=${bob.token}`),
  ...Object.fromEntries(streams.map((name) => [name, ({ bob }) =>
    `GET /v1/${name}?callback=f&access_token=${bob.token} HTTP/1.1\r\n` +
    'Host: x\r\n\r\n'])),
  'a stream on a kept connection': ({ bob }) => `${page}GET /v1/sse` +
    `?access_token=${bob.token} HTTP/1.1\r\nHost: x\r\n\r\n`,
};

story('an address has its share, again and again', {
  over: Object.keys(ways), env: limited,
}, async (scene) => {
  const bob = await scene.person('bob');
  const now = await bob.now();
  const bytes = ways[scene.transport]({ bob, now });

  for (let round = 0; round < 3; round++) {
    const crowd = Array.from({ length: most }, () => guest(scene, bytes));
    const ended = scene.transport === 'a bad head';
    if (bytes && !/half|parked/.test(scene.transport))
      for (const one of crowd)
        await answered(one);
    if (ended)
      await Promise.all(crowd.map(({ closed }) => closed));
    const before = crowd.map(({ text }) => text);
    assert.ok(before.every((text) => !refusal.test(text)), before.join('\n'));
    if (!ended) {
      await eventually(async () => await scene.server.metric('rung_connections')
        > most, 'all are in');
      const late = guest(scene, page);
      await within(5000, late.closed, 'one too many is sent away');
      assert.match(late.text, refusal);
      const other = guest(scene, page, '127.0.0.3');
      assert.match(await answered(other), / 200 OK/);
      other.socket.destroy();
    }
    for (const { socket } of crowd)
      socket.resetAndDestroy();
    await eventually(async () => {
      const next = guest(scene, page);
      const text = await answered(next);
      next.socket.resetAndDestroy();
      return text.includes(' 200 OK');
    }, 'there is room again');
    await eventually(async () => await scene.server.metric('rung_connections')
      <= 1, 'all have gone');
  }
});

const begin = 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n';
const handshakes = {
  'a new connection': () => `${begin}\r\n`,
  'a connection that says it closes': () => `${begin}Connection: close\r\n\r\n`,
  'a kept connection, handed on': () => 'HEAD / HTTP/1.1\r\nHost: x\r\n\r\n' +
    `${begin}\r\n`,
  'one handed on behind its first request': () => `${page}HEAD / HTTP/1.1\r\n` +
    `Host: x\r\n\r\n${begin}\r\n`,
};

story('sessions outlive connections, and an address has its share of them', {
  over: Object.keys(handshakes),
  env: { ...limited, RUNG_HEADER_TIMEOUT_MS: '600000', // nobody comes in
         RUNG_SOCKETIO_PING_INTERVAL_MS: '600000' },
}, async (scene) => {
  const refused = () => scene.server.metric('rung_socketio_refused_total');
  const before = await refused();
  const host = Object.keys(handshakes).indexOf(scene.transport); // one each
  const opened = async (address = `127.0.1.${host + 1}`) => {
    const one = guest(scene, handshakes[scene.transport](), address);
    await eventually(() => /"sid":|more than 6 sessions/.test(one.text),
                     'an answer to the handshake');
    one.socket.resetAndDestroy();
    await eventually(async () =>
      await scene.server.metric('rung_connections') <= 1, 'it has gone');
    return one.text;
  };

  for (let i = 0; i < most; i++)
    assert.match(await opened(), /"sid":/);
  assert.equal(await refused(), before);
  assert.match(await opened(), /429 .*"rate_limited".*more than 6 sessions/s);
  assert.equal(await refused(), before + 1);
  assert.match(await opened(`127.0.2.${host + 1}`), /"sid":/);
});

scenario('a thousand from one address leave the others alone', {
  env: { RUNG_MAX_CONNECTIONS_PER_ADDRESS: '50' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const beside = await bob.follow('ws');
  const crowd = Array.from({ length: 1000 }, () => guest(scene, ''));

  for (let i = 0; i < 100; i++)
    await alice.send(bob, `message ${i}`);
  await beside.take(100, 'message');
  await eventually(() => crowd.filter(({ text }) => / 429 /.test(text)).length
    === 950, 'all but fifty are sent away', 20000);
});
