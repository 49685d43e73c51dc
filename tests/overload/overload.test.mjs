// More than it is used to: nobody who is in pays for it. How much the server
// still does then, bench/overload.mjs measures.

import assert from 'node:assert/strict';
import net from 'node:net';
import { beside } from '../hostile/beside.mjs';
import { handshake } from '../lib/frames.mjs';
import { scenario } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

scenario('a herd that comes back after a crash does not starve who is in', {
  timeout: 60000,
}, async (scene, t) => {
  const people = await scene.people(...Array(400).fill('herd'));
  const alice = await scene.person('alice');
  const { conversation } = await alice.group(people);
  const herd = await Promise.all(people.map((one) =>
    one.follow('ws', { patient: true })));
  await alice.say(conversation, 'before');
  await Promise.all(herd.map((one) => one.next('message')));

  await scene.server.kill();
  await scene.server.start();
  await alice.say(conversation, 'missed 1', 'missed 2');
  await beside(scene, t, async () => {
    const back = await Promise.all(herd.map((one, i) =>
      people[i].follow('ws', { cursor: one.cursor })));
    for (const one of back) {
      const missed = await one.take(2, 'message', 20000);
      assert.deepEqual(missed.map(({ body }) => body.text),
                       ['missed 1', 'missed 2']);
    }
  }, { holds: 400 * 20 });
});

scenario('one huge conversation does not delay the others', {
  env: { RUNG_WORKERS: '1' },
}, async (scene, t) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.call('conversation.create',
                                            { type: 'channel', id: 'huge' });
  const each = 200;
  let heard = 0;
  for (let i = 0; i < 500; i++) {
    const socket = net.connect(scene.server.port, '127.0.0.1');
    scene.onClose(() => socket.destroy());
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (text) => {
      heard += text.split('#end').length - 1;
    });
    socket.write(handshake(`/v1/ws?access_token=${bob.token}` +
                           `&conversation=${conversation}&after=0`));
  }
  await eventually(async () => await scene.server.metric('rung_carriers', '"ws"')
    === 500, 'five hundred follow it', 20000);
  await beside(scene, t, async () => {
    await Promise.all(Array.from({ length: 10 }, async () => {
      for (let i = 0; i < each / 10; i++)
        await alice.send(conversation, `${'x'.repeat(1000)}#end`);
    }));
    await eventually(() => heard >= 0.99 * 500 * each, // a word cut in two
                     () => `${heard} of ${500 * each}`, 30000);
  }, { holds: 16 * 1024 });
});
