// Limits, and what is said to those who meet them.

import assert from 'node:assert/strict';
import http from 'node:http';
import net from 'node:net';
import { duplexes } from '../lib/followers.mjs';
import { attached, p2p, scenario, story } from '../lib/story.mjs';
import { eventually, pause, within } from '../lib/wait.mjs';

/** Ask until refused; the refusal. Rates are low where it is used, so that a
 * slow machine, too, asks faster. */
async function untilRefused(ask, limit = 200) {
  for (let i = 0; i < limit; i++) {
    const refusal = await ask().then(() => undefined, (error) => error);
    if (refusal)
      return refusal;
  }
  throw new Error(`${limit} requests were all taken`);
}

scenario('a user who asks too often is told when to ask again', {
  env: { RUNG_USER_RATE: '3' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const refusal = await untilRefused(() => alice.send(bob, 'spam'));

  assert.equal(refusal.status, 429);
  assert.equal(refusal.code, 'rate_limited');
  assert.ok(refusal.retryAfterMs > 0 && refusal.retryAfterMs < 5000);
  // others are not concerned
  await bob.send(alice, 'calm');
  // and the promise holds
  await pause(refusal.retryAfterMs + 5);
  await alice.send(bob, 'patient');
});

scenario('a refusal in HTTP has Retry-After, too', {
  env: { RUNG_USER_RATE: '2' },
}, async (scene) => {
  const alice = await scene.person('alice');

  const refused = await eventually(async () => {
    const answer = await alice.poll();
    return answer.status === 429 && answer;
  }, 'a 429');
  assert.ok(Number(refused.headers['retry-after']) >= 1);
  assert.ok(refused.json.error.retry_after_ms > 0);
});

scenario('a connection that asks too often is limited by itself', {
  env: { RUNG_CONNECTION_RATE: '2' },
}, async (scene) => {
  const alice = await scene.person('alice');
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  scene.onClose(() => agent.destroy());

  const refused = await eventually(async () => {
    const answer = await alice.poll({}, { agent });
    return answer.status === 429 && answer;
  }, 'a 429');
  assert.equal(refused.json.error.code, 'rate_limited');
  assert.ok(refused.json.error.retry_after_ms > 0);
  assert.equal((await alice.poll()).status, 200);
});

scenario('a websocket that asks too often is answered rate_limited', {
  env: { RUNG_CONNECTION_RATE: '2' },
}, async (scene) => {
  const alice = await scene.person('alice');
  const follower = await alice.follow('ws');

  const error = await eventually(async () =>
    (await follower.reply('session.info')).error, 'a refusal');
  assert.equal(error.code, 'rate_limited');
  assert.ok(error.retry_after_ms > 0);
  assert.equal(follower.end, undefined);
});

scenario('a message that is too large is refused with the limit', {
  env: { RUNG_MAX_MESSAGE_BYTES: '2000' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'x'.repeat(1000));
  await assert.rejects(alice.send(bob, 'x'.repeat(3000)), (error) => {
    assert.equal(error.status, 413);
    assert.equal(error.code, 'too_large');
    assert.match(error.text, /2000/);
    return true;
  });
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 1);
});

scenario('a full store refuses to write, keeps what it has and reads on', {
  env: { RUNG_MAP_SIZE_MB: '1' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  let stored = 0;

  const refusal = await untilRefused(async () => {
    await alice.send(bob, 'x'.repeat(8000));
    stored++;
  }, 500);
  assert.equal(refusal.status, 507);
  assert.equal(refusal.code, 'storage_full');
  assert.ok(stored > 10, `${stored} were stored before`);
  assert.equal((await bob.history(p2p(alice, bob))).last_seq, stored);
  const kept = (await bob.readAll()).filter(({ event }) => event === 'message');
  assert.equal(kept.length, stored);
  await scene.server.restart();
  assert.equal((await bob.history(p2p(alice, bob))).last_seq, stored);
});

scenario('parked polls of one user are limited, those of others are not', {
  env: { RUNG_MAX_PARKED_PER_USER: '2', RUNG_WORKERS: '1' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const cursor = await bob.now();
  const path = '/v1/longpoll';
  const parkedOnes = [bob.poll({ cursor, wait: 30 }, { path }),
                      bob.poll({ cursor, wait: 30 }, { path })];

  await attached(scene.server, 'longpoll', 2);
  const third = await bob.poll({ cursor, wait: 30 }, { path });
  assert.equal(third.status, 429);
  assert.ok(['rate_limited', 'overloaded'].includes(third.json.error.code));
  assert.ok(third.json.error.retry_after_ms > 0);
  const other = await alice.poll({ cursor, wait: 0 }, { path });
  assert.equal(other.status, 200);
  await alice.send(bob, 'wake up');
  for (const { json } of await Promise.all(parkedOnes))
    assert.equal(json.events[0].body.text, 'wake up');
  assert.equal((await bob.poll({ cursor, wait: 30 }, { path })).status, 200);
});

scenario('a peer that dawdles over its head is cut off', {
  env: { RUNG_HEADER_TIMEOUT_MS: '300' },
}, async (scene) => {
  for (const some of ['', 'GET /v1/po',
                      'GET /v1/poll HTTP/1.1\r\nHost: x\r\n']) {
    const socket = net.connect(scene.server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.write(some);
    // a byte now and then does not help
    const drip = setInterval(() => socket.write('x'), 100);
    await within(5000, new Promise((resolve) => socket.on('close', resolve)),
                 `the server cuts a peer that sent ${JSON.stringify(some)}`)
      .finally(() => clearInterval(drip));
  }
});

scenario('a peer that dawdles over its body is cut off', {
  env: { RUNG_BODY_TIMEOUT_MS: '300' },
}, async (scene) => {
  const alice = await scene.person('alice');
  const socket = net.connect(scene.server.port, '127.0.0.1');

  socket.on('error', () => {});
  socket.on('data', () => {});
  socket.write('POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
               `Authorization: Bearer ${alice.token}\r\n` +
               'Content-Length: 1000\r\n\r\n{');
  const drip = setInterval(() => socket.write(' '), 100);
  await within(5000, new Promise((resolve) => socket.on('close', resolve)),
               'the server cuts the slow body')
    .finally(() => clearInterval(drip));
});

story('connections beyond the limit are refused, not left hanging', {
  over: duplexes, env: { RUNG_MAX_CONNECTIONS: '8', RUNG_WORKERS: '1' },
}, async (scene) => {
  const { port } = new URL(scene.server.urlFor(scene.transport));
  const sockets = Array.from({ length: 12 }, () =>
    net.connect(port, '127.0.0.1'));
  scene.onClose(() => sockets.forEach((socket) => socket.destroy()));
  const closed = sockets.map((socket) => new Promise((resolve) => {
    socket.on('error', () => {});
    socket.on('data', () => {});
    socket.on('close', () => resolve(true));
  }));

  await within(5000, Promise.any(closed), 'one of twelve is refused');
  for (const socket of sockets)
    socket.destroy();
  await scene.server.answers();
});

scenario('an event stream is recycled, and nothing is lost by it', {
  env: { RUNG_STREAM_MAX_BYTES: '4096' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await bob.follow('eventsource', { reconnects: true });
  const texts = Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(200)}`);

  await alice.say(bob, ...texts);
  await follower.take(40, 'message', 30000);
  assert.deepEqual(follower.texts, texts);
});
