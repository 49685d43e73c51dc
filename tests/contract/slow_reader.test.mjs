// A slow reader is a cursor that lags: it costs the server no memory and the
// others no time.

import assert from 'node:assert/strict';
import { follow, transports } from '../lib/followers.mjs';
import { scenario, story } from '../lib/story.mjs';
import { instrumented } from '../lib/server.mjs';

const volume = 1500;
const size = 8 * 1024; // 12 MB in all: more than sockets hold

async function sayAtLength(alice, conversation) {
  const filler = 'x'.repeat(size);
  let next = 0;
  const writer = async () => {
    while (next < volume)
      await alice.send(conversation, `${next++} ${filler}`);
  };
  await Promise.all(Array.from({ length: 16 }, writer));
}

story('a slow reader among fast ones delays nobody and costs no memory', {
  fresh: true, timeout: 60000,
}, async (scene, t) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob, carol]);
  const proxy = await scene.proxy();
  const slow = await follow(scene.transport, { url: proxy.url,
                                               token: bob.token });
  scene.onClose(() => slow.close());
  // the first seconds of a server are not flat
  await alice.say(conversation, ...Array.from({ length: 50 }, () => 'warm'));
  await slow.take(50, 'message');
  const fast = await carol.follow(scene.transport);

  proxy.stall();
  const before = await scene.server.memoryKb();
  await sayAtLength(alice, conversation);
  await fast.take(volume, 'message', 20000);
  const after = await scene.server.memoryKb();
  t.diagnostic(`RssAnon ${before} kB, then ${after} kB`);
  if (!instrumented)
    assert.ok(after - before < 6 * 1024, `${after - before} kB more`);
  assert.ok(slow.all('message').length < volume + 50, 'it was slow indeed');
  proxy.flow();
  const rest = await slow.take(volume, 'message', 20000);
  assert.deepEqual(rest.map((event) => event.seq),
                   rest.map((_, i) => rest[0].seq + i));
  assert.deepEqual(slow.dropped, []);
});

scenario('one slow reader of each kind delays none of the others', {
  timeout: 60000,
}, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob, carol]);
  const stalled = await scene.proxy();
  const slow = [];

  for (const transport of transports)
    slow.push(await follow(transport, { url: stalled.url, token: bob.token }));
  scene.onClose(() => Promise.all(slow.map((one) => one.close())));
  stalled.stall();
  const fast = await carol.follow('ws');
  await sayAtLength(alice, conversation);
  await fast.take(volume, 'message', 20000);
  // each message of a fast reader comes soon, not when the slow ones are done
  for (let i = 0; i < 20; i++) {
    await alice.send(conversation, `ping ${i}`);
    await fast.next((event) => event.body?.text === `ping ${i}`, 2000);
  }
});
