// Endless responses: what nothing on the way may hold back, and how they end.

import assert from 'node:assert/strict';
import { streams } from '../lib/followers.mjs';
import { Roamer } from '../lib/roamer.mjs';
import { raw } from '../lib/http.mjs';
import { story } from '../lib/story.mjs';
import { eventually, seeded } from '../lib/wait.mjs';

/** Blanks, at least, before the first event. */
const padding = { sse: 256, stream: 2048 };

story('a stream says that nothing may hold it back, and pads its first bytes',
      { over: streams }, async (scene) => {
  const bob = await scene.person('bob');
  const { text } = await raw(
    scene.server.port,
    `GET /v1/${scene.transport}?access_token=${bob.token}&callback=f ` +
    'HTTP/1.1\r\nHost: localhost\r\n\r\n',
    { until: '"event":"hello"' });
  const [head, ...rest] = text.split('\r\n\r\n');
  const before = rest.join('\r\n\r\n').split('"event":"hello"')[0];

  assert.match(head, /^x-accel-buffering: no$/im);
  assert.match(head, /^cache-control: no-store, no-transform$/im);
  assert.match(head, /^x-content-type-options: nosniff$/im);
  assert.match(head, /^connection: close$/im);
  assert.match(before, new RegExp(` {${padding[scene.transport]}}`));
});

story('a stream is recycled by bytes, and nothing is lost by it', {
  over: streams,
  env: { RUNG_STREAM_MAX_BYTES: '4096', RUNG_HEARTBEAT_MS: '100' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const roamer = new Roamer({
    url: scene.server.url, token: bob.token, random: seeded(1),
    pick: () => scene.transport,
  });
  scene.onClose(() => roamer.stop());
  const texts = Array.from({ length: 40 }, (_, i) => `${i} ${'x'.repeat(200)}`);
  const heard = (kind) =>
    roamer.transcript.filter(({ event }) => event === kind);

  await alice.say(bob, ...texts);
  await eventually(() => heard('bye').length > 0, 'it is recycled', 15000);
  await alice.say(bob, ...texts);
  await eventually(() => heard('message').length >= 2 * texts.length,
                   'all is heard', 15000);
  assert.deepEqual(heard('message').map(({ body }) => body.text),
                   [...texts, ...texts]);
  assert.equal(heard('bye')[0].reason, 'recycled');
});

story('a stream is recycled by time', {
  over: streams,
  env: { RUNG_STREAM_MAX_MS: '300', RUNG_HEARTBEAT_MS: '100' },
}, async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow(scene.transport);

  assert.equal((await follower.next('bye')).reason, 'recycled');
  await follower.ending();
});

story('each line of the stream is one JSON object', { over: ['stream'] },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.say(bob, 'one\ntwo', 'the end');
  const { text } = await raw(
    scene.server.port,
    `GET /v1/stream?cursor=0&access_token=${bob.token} HTTP/1.0\r\n\r\n`,
    { until: 'the end"}}\n' });
  const lines = text.split('\r\n\r\n')[1].split('\n');

  assert.equal(lines.pop(), '');
  assert.deepEqual(lines.map((line) => JSON.parse(line).event),
                   ['hello', 'message', 'message']);
});
