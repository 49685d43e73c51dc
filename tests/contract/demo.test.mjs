// The demo's levers: a wall before a transport, a proxy that buffers, and a
// death. They are there only with --demo.

import assert from 'node:assert/strict';
import http from 'node:http';
import { streams, transports } from '../lib/followers.mjs';
import { Refusal, request } from '../lib/http.mjs';
import { attached, scenario, story } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const refused = (code, about) => (error) => {
  assert.ok(error instanceof Refusal, error.stack);
  assert.equal(error.code, code, error.message);
  assert.match(error.text, about);
  return true;
};

/** How opening it ended: a status, or that there was none. */
async function opened(scene, person, transport) {
  const follower = await person.follow(transport, { patient: false })
    .catch((error) => ({ ending: () => ({ error }) }));

  return follower.ending();
}

story('a blocked transport is cut without an answer; methods are not',
      async (scene) => {
  const bob = (await scene.person('bob')).on('laptop');
  const phone = bob.on('phone');

  await bob.call('demo.block', { transports: [scene.transport] });
  const end = await opened(scene, bob, scene.transport);
  assert.equal(end.status, undefined, JSON.stringify(end));
  if (scene.transport === 'ws')
    assert.equal(end.code, 1006);
  await bob.send('alice', 'methods go through');
  const follower = await phone.follow(scene.transport, { cursor: '0' });
  await follower.next('message'); // another device has no wall
});

story('what is carried already ends when its transport is blocked',
      { over: transports.filter((name) => name !== 'poll') }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const laptop = bob.on('laptop');
  const follower = await laptop.follow(scene.transport, { cursor: '0' });

  await alice.send(bob, 'one');
  await follower.next('message');
  await attached(scene.server, scene.transport);
  await laptop.call('demo.block', { transports: [scene.transport] });
  const end = await follower.ending();
  assert.equal(end.status ?? undefined, undefined, JSON.stringify(end));
  await laptop.call('demo.block', {}); // all is open again
  await alice.send(bob, 'two');
  const again = await laptop.follow(scene.transport,
                                    { cursor: follower.cursor });
  assert.equal((await again.next('message')).body.text, 'two');
});

/** A request whose answer may never end: its head, and what came so far. */
function open(url, headers) {
  return new Promise((resolve, reject) => {
    const asked = http.get(url, { headers }, (answer) => {
      const got = { status: answer.statusCode, type: answer.headers['content-type'],
                    bytes: 0, close: () => asked.destroy() };
      answer.on('data', (part) => { got.bytes += part.length; });
      answer.on('error', () => {});
      resolve(got);
    });
    asked.on('error', reject);
  });
}

story('a buffering proxy says 200 and delivers nothing', { over: streams },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const url = `${scene.server.url}/v1/${scene.transport}?cursor=0&callback=f`;
  const authorization = `Bearer ${bob.token}`;

  await bob.call('demo.block', { buffered: [scene.transport] });
  const walled = await open(url, { authorization });
  assert.equal(walled.status, 200);
  await alice.send(bob, 'one');
  await bob.call('demo.block', {});
  const free = await open(url, { authorization });
  assert.equal(free.type.split(';')[0], walled.type.split(';')[0]);
  await eventually(() => free.bytes > 300, 'the open one gets its first bytes');
  assert.equal(walled.bytes, 0);
  walled.close();
  free.close();
});

scenario('what cannot be blocked or buffered is refused', async (scene) => {
  const bob = await scene.person('bob');

  for (const transports of [['telegraph'], ['ws', ''], 'ws', [1]])
    await assert.rejects(bob.call('demo.block', { transports }),
                         refused('bad_request', /transports/));
  for (const buffered of [['ws'], ['longpoll'], ['poll'], ['jsonp']])
    await assert.rejects(bob.call('demo.block', { buffered }),
                         refused('bad_request', /buffered/));
  for (const device of ['', 'no spaces', 7])
    await assert.rejects(bob.call('demo.block', { device }),
                         refused('bad_request', /device/));
  for (const down_ms of [-1, 30001, 'soon'])
    await assert.rejects(bob.call('demo.kill', { down_ms }),
                         refused('bad_request', /down_ms/));
});

scenario('a killed server is back under its number with all that was stored',
         async (scene) => {
  const { server } = scene;
  const [alice, bob] = await scene.people('alice', 'bob');
  const { pid } = server;
  const follower = await bob.follow('sse', { cursor: '0' });

  for (let round = 1; round <= 3; round++) {
    await alice.send(bob, `before ${round}`);
    await eventually(() => follower.end || follower.events.length > 1, 'told');
    await assert.rejects(bob.call('demo.kill', { down_ms: 200 }),
                         (error) => !(error instanceof Refusal));
    await server.answers();
    assert.equal(server.pid, pid);
    assert.ok(server.running);
    await alice.send(bob, `after ${round}`); // the token is still good
  }
  assert.deepEqual((await bob.readAll()).filter(({ event }) => event === 'message')
    .map(({ seq, body }) => [seq, body.text]),
    [[1, 'before 1'], [2, 'after 1'], [3, 'before 2'], [4, 'after 2'],
     [5, 'before 3'], [6, 'after 3']]);
  assert.ok((await follower.ending()).status === undefined);
});

scenario('while it is down nobody is answered', async (scene) => {
  const bob = await scene.person('bob');

  await assert.rejects(bob.call('demo.kill', { down_ms: 30000 }));
  await eventually(() => request(`${scene.server.url}/healthz`)
    .then(() => false, ({ code }) => code === 'ECONNREFUSED'), 'it is gone');
  await scene.server.stop(); // which ends it cleanly, dead as it is
  await scene.server.start();
  await scene.server.answers();
  const carol = await scene.person('carol');
  await assert.rejects(carol.call('demo.kill', { down_ms: 1 }));
  await scene.server.stop(); // also while it comes back
});

scenario('without --demo there are no levers', {
  demo: false, apps: { red: 'a secret of thirty-two bytes: red' },
}, async (scene) => {
  const bob = await scene.person('bob', { app: 'red' });

  for (const method of ['demo.login', 'demo.block', 'demo.kill'])
    await assert.rejects(bob.call(method, { user: 'bob' }),
                         refused('not_found', /--demo/));
  const { json } = await bob.poll();
  assert.ok(json.hello);
});

scenario('the levers want to know who pulls', async (scene) => {
  for (const method of ['demo.block', 'demo.kill'])
    await assert.rejects(scene.server.call(method, {}),
                         refused('unauthorized', /./));
});
