// Those who take their time on purpose: heads, bodies, frames that drip in byte
// by byte. Each is cut at its deadline, however steadily it drips, and hundreds
// of them cost neither memory nor anybody else's time.

import assert from 'node:assert/strict';
import net from 'node:net';
import { frame, handshake, PING, TEXT } from '../lib/frames.mjs';
import { scenario } from '../lib/story.mjs';
import { within } from '../lib/wait.mjs';
import { beside } from './beside.mjs';

const soon = { RUNG_HEADER_TIMEOUT_MS: '1500', RUNG_BODY_TIMEOUT_MS: '1500',
               RUNG_MAX_CONNECTIONS: '5000' };
const get = (target) => `GET ${target} HTTP/1.1\r\nHost: x\r\n`;
const forEver = (byte) => () => byte;

/** What each says at once, and then drip by drip. */
const kinds = (token) => {
  const socket = handshake(`/v1/ws?access_token=${token}`);
  const message = frame(TEXT, `{"id":1,"method":"${'x'.repeat(5000)}"}`);
  const fragment = frame(TEXT, ' ', { fin: false });
  const post = 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
    `Authorization: Bearer ${token}\r\n`;

  return {
    'nothing at all': ['', forEver('')],
    'a request line': ['G', forEver('E')],
    'a head': [get('/v1/poll'), forEver('X: y\r\n')],
    'a later head': [`${get('/healthz')}\r\n${get('/v1/poll')}`, forEver('X')],
    'a later head behind a poll':
      [`${get(`/v1/poll?access_token=${token}`)}\r\n${get('/v1/poll')}`,
       forEver('X')],
    'a body': [`${post}Content-Length: 60000\r\n\r\n{`, forEver(' ')],
    'chunks': [`${post}Transfer-Encoding: chunked\r\n\r\n`,
               forEver('1\r\n \r\n')],
    'the extension of a chunk': [`${post}Transfer-Encoding: chunked\r\n\r\n1;`,
                                 forEver('x')],
    'a handshake': [socket.slice(0, 40), forEver('x')],
    'no first frame': [handshake('/v1/ws'), forEver('')],
    'the head of a frame':
      [socket, (i) => message.subarray(Math.min(i, 4), Math.min(i, 4) + 1)],
    'the payload of a frame': [Buffer.concat([Buffer.from(socket),
      message.subarray(0, 10)]), (i) => message.subarray(10 + i, 11 + i)],
    'fragments without an end': [Buffer.concat([Buffer.from(socket), fragment]),
                                 () => frame(0, ' ', { fin: false })],
    'pings between fragments': [Buffer.concat([Buffer.from(socket), fragment]),
                                () => frame(PING, 'still here')],
  };
};

/** Drips until the server ends it; what it said. */
function dripping(scene, [first, drip]) {
  const socket = net.connect({ port: scene.server.port, host: '127.0.0.1',
                               noDelay: true });
  let text = '';
  let i = 0;
  scene.onClose(() => socket.destroy());
  socket.on('error', () => {});
  socket.setEncoding('latin1').on('data', (part) => { text += part; });
  socket.write(first);
  const timer = setInterval(() => {
    const some = drip(i++);
    if (some.length && socket.writable)
      socket.write(some);
  }, 100);
  return within(20000, new Promise((resolve) => socket.on('close', () => {
    clearInterval(timer);
    resolve(text);
  })), () => `it is cut; it heard ${text.slice(0, 300)}`)
    .finally(() => clearInterval(timer));
}

/** Thirty of each kind, all at once. */
async function cutsAll(scene, t, chosen) {
  const mallory = await scene.person('mallory');
  const all = Object.entries(kinds(mallory.token)).filter(([what]) =>
    chosen(what));

  await beside(scene, t, () => Promise.all(all.flatMap(([what, how]) =>
    Array.from({ length: 30 }, async () => {
      const text = await dripping(scene, how);
      assert.ok(!/"seq"|"result"/.test(text), `${what}: ${text}`);
    }))));
}

const overWs = (what) => /frame|fragment/.test(what);

scenario('who drips over HTTP is cut off', { env: soon }, async (scene, t) =>
  cutsAll(scene, t, (what) => !overWs(what)));

scenario('who drips over a WebSocket is cut off', { env: soon },
         async (scene, t) => cutsAll(scene, t, overWs));
