// The connection lives, the business is dead: a thread that no longer works
// fails /healthz and ends its heartbeats, so that a load balancer and a client
// both see what open sockets hide. When it goes on, nothing was lost.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { streams } from '../lib/followers.mjs';
import { request } from '../lib/http.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const program = fileURLToPath(new URL('stop_thread.py', import.meta.url));

/** The thread stands still until go() is called. */
async function stopped(scene, name) {
  const child = spawn('python3', [program, String(scene.server.pid), name],
                      { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  scene.onClose(() => child.kill('SIGKILL'));
  await within(5000, Promise.race([once(child.stdout, 'data'), ended.then(
    ([code]) => { throw new Error(`stop_thread.py: status ${code}`); })]),
               `${name} stands still`);
  return { async go() {
    child.stdin.end();
    await ended;
  } };
}

/** What a worker that still works says of the server's health. */
async function health(server) {
  const signal = AbortSignal.timeout(500); // the stopped one takes no part
  return request(`${server.url}/healthz`, { signal }).catch(() => undefined);
}

const heartbeats = (follower) => follower.all('heartbeat').length;

story('a sequencer that stalls fails /healthz and ends the heartbeats', {
  over: ['ws', ...streams],
  env: { RUNG_HEARTBEAT_MS: '800', RUNG_STALL_MS: '600',
         RUNG_QUEUE_WAIT_MS: '60000' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await bob.follow(scene.transport);
  await follower.next('heartbeat');

  const sequencer = await stopped(scene, 'sequencer');
  const sent = alice.send(bob, 'patience');
  await eventually(async () => (await health(scene.server))?.status === 503,
                   '/healthz says that it stalls');
  const before = heartbeats(follower);
  await eventually(async () => {
    const { json } = await health(scene.server) ?? {};
    return json?.sequencer.silent_ms > 3500;
  }, 'it stalls for many heartbeats');
  assert.ok(heartbeats(follower) <= before + 1, 'no heartbeat comes');
  assert.equal((await bob.poll({ cursor: '0' })).status, 200, 'reading goes on');
  await sequencer.go();
  await sent;
  await follower.next('message');
  await follower.next('heartbeat');
  await eventually(async () => (await health(scene.server))?.status === 200,
                   'it is well again');
});

scenario('a worker that stalls fails /healthz, and the others go on', {
  env: { RUNG_STALL_MS: '600', RUNG_QUEUE_WAIT_MS: '60000',
         RUNG_WORKERS: '2' },
}, async (scene) => {
  const { server } = scene;
  const worker = await stopped(scene, 'worker 1');
  await eventually(async () => {
    const { status, json } = await health(server) ?? {};
    return status === 503 && json.status === 'stalled' &&
           json.workers[1].silent_ms > 600 && json.workers[0].silent_ms < 600;
  }, '/healthz says that this worker stalls', 20000);
  await worker.go();
  await eventually(async () => (await health(server))?.status === 200,
                   'it is well again');
});
