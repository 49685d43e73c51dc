// SIGTERM: every client is told when to come back, then the server ends.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { clients, duplexes } from '../lib/followers.mjs';
import { attached, scenario, story } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

// who polls over Socket.IO is known between two polls, too: nobody can tell it
// then, and its transport closes
story('shutdown while parked says bye with a delay', {
  over: clients.filter((name) => name !== 'socketio-polling'), fresh: true,
}, async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow(scene.transport, {
    cursor: await bob.now(),
  });

  // a short poll is never parked: it asks again while the server drains
  if (scene.transport !== 'poll')
    await attached(scene.server, scene.transport);
  const stopped = scene.server.stop();
  stopped.catch(() => {}); // awaited below, if we get there
  if (scene.transport !== 'poll') {
    const bye = await follower.next('bye');
    assert.equal(typeof bye.reason, 'string');
    assert.ok(Number.isInteger(bye.retry_after_ms));
    assert.ok(bye.retry_after_ms >= 0);
  }
  const end = await follower.ending();
  if (duplexes.includes(scene.transport))
    assert.equal(end.code, 1001);
  await stopped;
});

scenario('a short poll on a kept connection is told bye, too',
         async (scene) => {
  const bob = await scene.person('bob');
  const cursor = await bob.now();
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  scene.onClose(() => agent.destroy());

  await bob.poll({ cursor }, { agent });
  // keeps the server draining for as long as this one reads
  const parked = bob.poll({ cursor, wait: 30 }, { path: '/v1/longpoll' });
  await attached(scene.server, 'longpoll');
  const stopped = scene.server.stop();
  const told = (await parked).json;
  assert.equal(told.events.at(-1).event, 'bye');
  await eventually(async () => {
    try {
      const { status, json } = await bob.poll({ cursor }, { agent });
      return status === 503 || json.events.at(-1)?.event === 'bye';
    } catch (error) {
      // already gone: as honest an answer
      assert.match(error.code ?? error.message, /ECONNRE|EPIPE|socket hang up/);
      return true;
    }
  }, 'the short poll learns of it');
  await stopped;
});

scenario('each client gets its own delay', {
  env: { RUNG_BYE_SPREAD_MS: '5000' },
}, async (scene) => {
  const bob = await scene.person('bob');
  const followers = [];

  for (let i = 0; i < 12; i++)
    followers.push(await bob.follow(['ws', 'sse', 'longpoll'][i % 3], {
      cursor: await bob.now(),
    }));
  for (const transport of ['ws', 'sse', 'longpoll'])
    await attached(scene.server, transport, 4);
  const stopped = scene.server.stop();
  const delays = [];
  for (const follower of followers)
    delays.push((await follower.next('bye')).retry_after_ms);
  await stopped;
  assert.ok(new Set(delays).size >= 6, `delays are spread: ${delays}`);
  assert.ok(Math.max(...delays) <= 6000, `delays are bounded: ${delays}`);
});

scenario('sends in flight at shutdown are answered or were never taken',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const answers = Array.from({ length: 200 }, (_, i) =>
    alice.send(bob, `n${i}`).then(() => `n${i}`, () => undefined));

  await answers[0];
  await scene.server.stop();
  const stored = (await Promise.all(answers)).filter(Boolean);
  await scene.server.start();
  const kept = (await bob.readAll()).map((event) => event.body?.text);
  for (const text of stored)
    assert.ok(kept.includes(text), `${text} was acknowledged`);
});

scenario('a second signal stops at once', {
  env: { RUNG_DRAIN_TIMEOUT_MS: '60000' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const proxy = await scene.proxy();
  const stuck = await bob.follow('sse', { url: proxy.url });

  // a reader whose socket is full keeps the server from ending by itself
  proxy.stall();
  await Promise.all(Array.from({ length: 400 }, () =>
    alice.send(bob, 'x'.repeat(30000))));
  const stopped = scene.server.stop(60000, [0, 1]);
  await eventually(() => scene.server.get('/healthz')
    .then(() => false, () => true), 'the listener is closed');
  scene.server.signal('SIGTERM');
  await within(3000, stopped, 'the server ends at the second signal');
  stuck.drop();
});

scenario('SIGHUP re-reads the keys of the apps', {
  apps: { shop: 'the-first-secret-of-the-shop-app' },
}, async (scene) => {
  const { server } = scene;
  const old = await scene.person('old', { app: 'shop' });

  assert.equal((await old.poll()).status, 200);
  const config = JSON.parse(await readFile(server.configFile, 'utf8'));
  config.apps.shop.hs256 = ['the-second-secret-of-the-shop-app'];
  await writeFile(server.configFile, JSON.stringify(config));
  server.signal('SIGHUP');
  await eventually(async () => (await old.poll()).status === 401,
                   'the old key is refused');
  server.apps.shop = 'the-second-secret-of-the-shop-app';
  const young = await scene.person('young', { app: 'shop' });
  assert.equal((await young.poll()).status, 200);
});
