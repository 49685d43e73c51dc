// Beside every attack two people talk. They must get every message, and the
// server's own memory must be what it was.

import assert from 'node:assert/strict';
import { instrumented } from '../lib/server.mjs';

/** What a server may hold more than before: some caches warm up. */
const slackKb = 6 * 1024;

/** `attack()` while two people talk; gives what it gives. `holds`: kilobytes that
 * it may make the server hold, by its documented limits. */
export async function beside(scene, t, attack, { holds = 0 } = {}) {
  const [dora, emil] = await scene.people('dora', 'emil');
  const follower = await emil.follow('ws');
  await dora.say(emil, ...Array(30).fill('warm'));
  await follower.take(30, 'message', 10000);

  const before = await scene.server.memoryKb();
  let said = 0;
  let over = false;
  const talk = (async () => {
    while (!over || said < 20)
      await dora.send(emil, `message ${said++}`);
  })();
  let result;
  try {
    result = await attack();
  } finally {
    over = true;
    await talk;
  }
  const heard = await follower.take(said, 'message', 20000);
  assert.deepEqual(heard.map(({ body }) => body.text),
                   heard.map((_, i) => `message ${i}`));
  const more = await scene.server.memoryKb() - before;
  t.diagnostic(`${said} messages beside it; ${more} kB more`);
  if (!instrumented)
    assert.ok(more < slackKb + holds, `${more} kB more`);
  await scene.server.answers();
  return result;
}
