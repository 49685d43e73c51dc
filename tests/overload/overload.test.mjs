// More than it is used to: nobody who is in pays for it. How much the server
// still does then, bench/overload.mjs measures.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { beside } from '../hostile/beside.mjs';
import { frame, handshake, PONG, TEXT } from '../lib/frames.mjs';
import { instrumented } from '../lib/server.mjs';
import { p2p, scenario } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const stopThread = fileURLToPath(new URL('../hostile/stop_thread.py',
                                         import.meta.url));

/** A disk that is slower than anything: nothing is stored until go(). */
async function withoutDisk(scene) {
  const child = spawn('python3', [stopThread, String(scene.server.pid),
                                  'sequencer'],
                      { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  scene.onClose(() => child.kill('SIGKILL'));
  await within(5000, Promise.race([once(child.stdout, 'data'), ended.then(() => {
    throw new Error('the sequencer could not be stopped');
  })]), 'the sequencer stands still');
  return async () => {
    child.stdin.end();
    await ended;
  };
}

scenario('a queue that is full refuses, and keeps what it has taken', {
  env: { RUNG_STALL_MS: '60000', RUNG_QUEUE_WAIT_MS: '60000',
         RUNG_HEARTBEAT_MS: '1500' },
  timeout: 60000,
}, async (scene, t) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const listening = await carol.follow('sse');
  const heard = []; // all that each socket was told
  const words = { stored: '"duplicate"', overloaded: '"code":"overloaded"' };
  const count = (kind) => heard.reduce((sum, text) =>
    sum + text.split(words[kind]).length - 1, 0);
  const call = frame(TEXT, JSON.stringify({ id: 1, method: 'message.send',
    params: { to: bob.name, body: 'x'.repeat(60000), echo: false } }));
  const before = await scene.server.memoryKb();
  const go = await withoutDisk(scene);

  for (let i = 0; i < 90; i++) { // of each the server takes 64 calls at once
    const socket = net.connect(scene.server.port, '127.0.0.1');
    const at = heard.push('') - 1;
    scene.onClose(() => socket.destroy());
    socket.on('error', () => {});
    socket.setEncoding('latin1').on('data', (part) => {
      heard[at] += part;
    });
    socket.write(handshake(`/v1/ws?access_token=${alice.token}`));
    for (let k = 0; k < 64; k++)
      socket.write(call);
    const alive = setInterval(() => socket.write(frame(PONG)), 100);
    scene.onClose(() => clearInterval(alive));
  }
  await eventually(async () => await scene.server.metric('rung_errors_total',
                                                         '"overloaded"') > 0,
                   'the queue is full', 30000);
  const refusal = await alice.send(bob, 'x', { body: 'x'.repeat(60000) })
    .then(() => undefined, (error) => error);
  assert.equal(refusal.status, 429);
  assert.equal(refusal.code, 'overloaded');
  assert.ok(refusal.retryAfterMs >= 500 && refusal.retryAfterMs <= 1500);
  const { json } = await scene.server.get('/healthz');
  assert.ok(json.sequencer.queue <= 65536);
  const more = await scene.server.memoryKb() - before;
  t.diagnostic(`${json.sequencer.queue} waiting, ${more} kB more`);
  if (!instrumented)
    assert.ok(more < 600 * 1024, `${more} kB more`);
  const beats = listening.all('heartbeat').length;
  await eventually(() => listening.all('heartbeat').length > beats + 2,
                   'heartbeats go on');

  await go();
  await eventually(async () =>
    (await scene.server.get('/healthz')).json.sequencer.queue === 0,
                   'all that waited is stored', 30000);
  await eventually(async () => {
    const { last_seq: kept } = await bob.history(p2p(alice, bob), { limit: 1 });
    return count('stored') === kept &&
           count('stored') + count('overloaded') === 90 * 64;
  }, () => `each is answered, and what is acknowledged is there: ${
    count('stored')} stored, ${count('overloaded')} overloaded`, 30000);
});

/** How many come back at once; more of them are more devices of the people. */
const herdSize = Number(process.env.RUNG_HERD ?? 400);

scenario('a herd that comes back after a crash does not starve who is in', {
  timeout: 60000 + herdSize * 20,
}, async (scene, t) => {
  const people = await scene.people(...Array(400).fill('herd'));
  const follow = (i, more) => people[i % people.length].follow('ws',
    { device: `device${i}`, patient: true, ...more });
  const alice = await scene.person('alice');
  const { conversation } = await alice.group(people);
  const herd = await Promise.all(Array.from({ length: herdSize },
                                            (_, i) => follow(i)));
  await alice.say(conversation, 'before');
  await Promise.all(herd.map((one) => one.next('message')));

  await scene.server.kill();
  await scene.server.start();
  await alice.say(conversation, 'missed 1', 'missed 2');
  await beside(scene, t, async () => {
    const back = await Promise.all(herd.map((one, i) =>
      follow(i, { cursor: one.cursor })));
    for (const one of back) {
      const missed = await one.take(2, 'message', 20000 + herdSize * 5);
      assert.deepEqual(missed.map(({ body }) => body.text),
                       ['missed 1', 'missed 2']);
    }
  }, { holds: herdSize * 20 });
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
