// Peers that are gone without a word: the cable is cut, or nobody reads any
// more. They are found, and what they held is freed; those beside them notice
// nothing.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { duplexes, follow, streams } from '../lib/followers.mjs';
import { handshake } from '../lib/frames.mjs';
import { attached, scenario, story } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const blackHole = fileURLToPath(new URL('black_hole.py', import.meta.url));
const beating = { RUNG_HEARTBEAT_MS: '1000' };

/** Somebody who sends `request` to `port`; dark() cuts the cable. */
async function vanishing(scene, port, request) {
  const child = spawn('python3', [blackHole, String(port)],
                      { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.on('error', () => {});
  scene.onClose(() => child.kill('SIGKILL'));
  child.stdin.write(`${Buffer.from(request).toString('hex')}\n`);
  return {
    async dark() {
      child.stdin.write('dark\n');
      await within(5000, once(child.stdout, 'data'), 'the cable is cut');
    },
  };
}

const carriers = (server, transport) =>
  server.metric('rung_carriers', `"${transport}"`);

story('whoever vanishes without a word is found and freed', {
  over: [...duplexes, ...streams, 'longpoll', 'jsonp'], env: beating,
}, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { transport, server } = scene;
  const cursor = await bob.now();
  const query = `access_token=${bob.token}&cursor=${cursor}&callback=f&wait=60`;
  const requests = {
    ws: handshake(`/v1/ws?${query}`),
    tcp: `${JSON.stringify({ method: 'auth',
                             params: { token: bob.token, cursor } })}\n`,
  };
  const peer = await vanishing(
    scene, new URL(server.urlFor(transport)).port, requests[transport] ??
    `GET /v1/${transport}?${query} HTTP/1.1\r\nHost: x\r\n\r\n`);
  await attached(server, transport, 1);
  const beside = await carol.follow('ws');

  const others = await carriers(server, transport) - 1;
  await peer.dark();
  await eventually(async () => {
    await alice.send(carol, 'still there?');
    await beside.next('message');
    return await carriers(server, transport) <= others;
  }, 'its carrier is gone', 20000);
});

story('whoever stops reading is let go, and comes back with its cursor', {
  over: [...duplexes, ...streams], env: beating, timeout: 40000,
}, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob, carol]);
  const proxy = await scene.proxy();
  const stuck = await follow(scene.transport, { url: proxy.url,
                                                token: bob.token });
  scene.onClose(() => stuck.close());
  const { cursor } = stuck;
  const beside = await carol.follow('ws');
  const others = await carriers(scene.server, scene.transport) - 1;
  let said = 0;

  proxy.stall();
  await eventually(async () => {
    await alice.say(conversation, ...Array(20).fill('x'.repeat(50000)));
    said += 20;
    await beside.take(20, 'message');
    return await carriers(scene.server, scene.transport) <= others;
  }, 'its carrier is gone', 30000);
  const events = await bob.readAll(cursor);
  const seen = events.filter(({ event }) => event === 'message').length;
  if (seen !== said)
    throw new Error(`${seen} of ${said} are there`);
});

scenario('a proxy that swallows everything is found out by its silence', {
  env: beating,
}, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const proxy = await scene.proxy();
  const lost = await follow('ws', { url: proxy.url, token: bob.token });
  scene.onClose(() => lost.close());
  const beside = await carol.follow('ws');

  proxy.blackHole();
  await eventually(async () => {
    await alice.send(carol, 'still there?');
    await beside.next('message');
    return await carriers(scene.server, 'ws') === 1;
  }, 'its carrier is gone', 20000);
});
