// Those who ask for more than their share: requests without number whose
// answers nobody reads, the dearest calls in one frame, deep and huge bodies,
// connections reset as soon as they are made.

import assert from 'node:assert/strict';
import net from 'node:net';
import { frame, handshake, TEXT } from '../lib/frames.mjs';
import { p2p, scenario } from '../lib/story.mjs';
import { eventually, pause } from '../lib/wait.mjs';
import { beside } from './beside.mjs';

function connected(scene, bytes) {
  const socket = net.connect(scene.server.port, '127.0.0.1');
  scene.onClose(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(bytes);
  return socket;
}

const post = (who, method, body) =>
  `POST /v1/${method} HTTP/1.1\r\nHost: x\r\n` +
  `Authorization: Bearer ${who.token}\r\n` +
  `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

/** Writes `bytes` again and again for as long as the socket takes them, and
 * `limit` bytes at most. */
function flood(socket, bytes, limit) {
  let said = 0;
  const more = () => {
    while (!socket.destroyed && said < limit) {
      said += bytes.length;
      if (!socket.write(bytes))
        return;
    }
  };
  socket.on('drain', more);
  more();
}

scenario('answers that nobody reads are bounded, and end the connection', {
  env: { RUNG_BODY_TIMEOUT_MS: '1500' },
}, async (scene, t) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, ...Array(16).fill('x'.repeat(60000)));
  const ask = JSON.stringify({ conversation: p2p(alice, bob), limit: 200 });
  const call = frame(TEXT, `{"id":1,"method":"message.history","params":${ask}}`);

  await beside(scene, t, async () => {
    const peers = Array.from({ length: 10 }, () => [
      [connected(scene, ''), post(alice, 'message.history', ask).repeat(10)],
      [connected(scene, handshake(`/v1/ws?access_token=${alice.token}`)),
       Buffer.concat(Array(10).fill(call))],
    ]).flat();
    await eventually(async () =>
      await scene.server.metric('rung_connections') >= 20, 'all are in');
    for (const [socket, bytes] of peers) {
      socket.pause();
      flood(socket, bytes, 2e6);
    }
    await eventually(async () =>
      await scene.server.metric('rung_connections') < 12,
                     'those over HTTP and WebSocket are cut', 30000);
  }, { holds: 20 * 2048 }); // of each a MiB, and what is being written
});

scenario('a flood of requests on one connection is one connection\'s worth', {
  env: { RUNG_CONNECTION_RATE: '500', RUNG_USER_RATE: '1000' },
}, async (scene, t) => {
  const mallory = await scene.person('mallory');
  const wire = connected(scene, '');
  let refused = 0;
  let taken = 0;
  wire.setEncoding('latin1').on('data', (text) => {
    refused += text.split('"rate_limited"').length - 1;
    taken += text.split('"user"').length - 1;
  });

  await beside(scene, t, async () => {
    flood(wire, post(mallory, 'session.info', '{}').repeat(50), 8e6);
    await eventually(() => refused > 2000, 'most are refused', 20000);
  });
  assert.ok(taken < refused, `${taken} taken, ${refused} refused`);
});

scenario('the dearest calls, many in one frame, leave /healthz and others well', {
  env: { RUNG_STALL_MS: '5000', RUNG_WORKERS: '1', RUNG_USER_RATE: '2000',
         RUNG_CONNECTION_RATE: '1000' }, // the defaults
}, async (scene, t) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, ...Array(200).fill('x'.repeat(1000)));
  for (let i = 0; i < 30; i++)
    await alice.group([bob]);
  const calls = ['message.history', 'conversation.list'].flatMap((method) =>
    Array.from({ length: 25 }, (_, id) => JSON.stringify({ id, method, params: {
      limit: 200,
      ...(method === 'message.history' && { conversation: p2p(alice, bob) }) } })));
  // all the calls of a frame are one turn of the worker: some 100 ms of it
  const frames = frame(TEXT, calls.join('\n'));

  await beside(scene, t, async () => {
    for (let i = 0; i < 4; i++) {
      const socket = connected(scene, handshake(`/v1/ws?access_token=${alice.token}`));
      socket.resume();
      flood(socket, frames, 2 * frames.length);
    }
    for (let i = 0; i < 20; i++) {
      assert.equal((await scene.server.get('/healthz')).status, 200);
      await pause(50);
    }
  });
});

scenario('deep, huge and broken bodies are refused, and cost nothing afterwards',
         async (scene, t) => {
  const alice = await scene.person('alice');
  const bodies = {
    'deep arrays': '['.repeat(60000),
    'deep objects': '{"a":'.repeat(12000),
    'deep and whole': `{"to":"x","body":${'['.repeat(33)}${']'.repeat(33)}}`,
    'many keys twice': `{${'"a":1,'.repeat(9000)}"a":1}`,
    'many keys': `{${Array.from({ length: 6000 }, (_, i) => `"k${i}":1`)}`,
    'a number of many digits': `{"to":${'9'.repeat(60000)}}`,
    'a huge exponent': '{"to":"x","body":1e999999}',
    'invalid UTF-8': Buffer.from('{"to":"\xc3\x28","body":1}', 'latin1'),
    'a surrogate, encoded': Buffer.from('{"to":"\xed\xa0\x80"}', 'latin1'),
    'overlong': Buffer.from('{"to":"\xc0\xaf"}', 'latin1'),
    'a NUL': '{"to":"bob\0","body":1}',
    'a NUL in an escape': '{"to":"x","body":"\\u0000"}',
    'half a surrogate': '{"to":"x","body":"\\ud800"}',
    'a byte order mark': '\ufeff{"to":"x","body":1}',
    'too large': `{"to":"x","body":"${'x'.repeat(70000)}"}`,
  };

  await beside(scene, t, async () => {
    for (let round = 0; round < 10; round++)
      for (const [what, body] of Object.entries(bodies)) {
        const { status, json } = await scene.server.get('/v1/message.send', {
          method: 'POST', body,
          headers: { authorization: `Bearer ${alice.token}` },
        });
        assert.ok([400, 413].includes(status), `${what}: ${status}`);
        assert.match(json.error.code, /^(bad_request|too_large)$/, what);
      }
  });
});

scenario('a storm of connections and resets leaves nothing behind',
         async (scene, t) => {
  const mallory = await scene.person('mallory');
  const openings = [
    '', 'GET /v1/po', `GET /v1/longpoll?wait=60&cursor=0&access_token=` +
      `${mallory.token} HTTP/1.1\r\nHost: x\r\n\r\n`,
    `GET /v1/sse?access_token=${mallory.token} HTTP/1.1\r\nHost: x\r\n\r\n`,
    'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    handshake(`/v1/ws?access_token=${mallory.token}`),
    post(mallory, 'message.send', '{"to":"nobody","body":1}'),
    post(mallory, 'message.send', '{"to":"nobody","body":1}').slice(0, -5),
    'POST /v1/session.info HTTP/1.1\r\nHost: x\r\n' +
      'Transfer-Encoding: chunked\r\n\r\n5\r\n{',
  ];
  const once = (i) => new Promise((resolve) => {
    const socket = net.connect(scene.server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('close', resolve);
    socket.on('connect', () => {
      socket.write(openings[i % openings.length]);
      setTimeout(() => socket.resetAndDestroy(), i % 4);
    });
  });

  await beside(scene, t, async () => {
    for (let round = 0; round < 40; round++)
      await Promise.all(Array.from({ length: 50 }, (_, i) => once(i)));
  });
  await eventually(async () =>
    await scene.server.metric('rung_connections') <= 3, 'all have gone', 10000);
});
