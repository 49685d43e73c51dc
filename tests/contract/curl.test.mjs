// The transports with nothing but curl, as the README shows them.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { scenario, story } from '../lib/story.mjs';
import { within } from '../lib/wait.mjs';

const skip = spawnSync('curl', ['--version']).status === 0
  ? false : 'curl is not installed';

/** Run curl until it ends, or until `until` was seen. */
async function curl(args, { until } = {}) {
  const child = spawn('curl', ['-sS', '--max-time', '20', ...args]);
  let text = '';
  let complaint = '';

  child.stderr.on('data', (part) => { complaint += part; });
  try {
    await within(15000, new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', resolve);
      child.stdout.setEncoding('utf8').on('data', (part) => {
        text += part;
        if (until && until.test(text))
          resolve();
      });
    }), () => `curl ${args.join(' ')}: ${until ?? 'end'}; got ${text}`);
  } finally {
    child.kill();
  }
  if (until)
    assert.match(text, until, complaint);
  return text;
}

async function login(scene, user) {
  const { token } = JSON.parse(await curl([
    '-d', JSON.stringify({ user }), `${scene.server.url}/v1/demo.login`]));
  return token;
}

const post = (scene, token, method, params) => curl([
  '-H', `Authorization: Bearer ${token}`, '-d', JSON.stringify(params),
  `${scene.server.url}/v1/${method}`]).then(JSON.parse);

story('curl follows and sends', { skip }, async (scene) => {
  if (skip)
    return;
  const { url } = scene.server;
  const alice = await login(scene, `curl-alice-${scene.transport}`);
  const bob = await login(scene, `curl-bob-${scene.transport}`);
  const bearer = ['-H', `Authorization: Bearer ${bob}`];
  const { cursor } = JSON.parse(await curl([...bearer, `${url}/v1/poll`]));
  const following = {
    poll: undefined,
    longpoll: () => curl([...bearer,
                          `${url}/v1/longpoll?cursor=${cursor}&wait=15`]),
    sse: () => curl(['-N', ...bearer, `${url}/v1/sse?cursor=${cursor}`],
                    { until: /data: .*hello from curl.*\n\n/ }),
    stream: () => curl(['-N', ...bearer, `${url}/v1/stream?cursor=${cursor}`],
                       { until: /hello from curl.*\n/ }),
    ws: () => curl(['-N', '--http1.1', '-i', ...bearer,
                    '-H', 'Connection: Upgrade', '-H', 'Upgrade: websocket',
                    '-H', 'Sec-WebSocket-Version: 13',
                    '-H', 'Sec-WebSocket-Key: cnVuZyBydW5nIHJ1bmcgIQ==',
                    '-H', 'Sec-WebSocket-Protocol: rung.v1',
                    `${url}/v1/ws?cursor=${cursor}`],
                   { until: /hello from curl/ }),
  }[scene.transport]?.();

  const sent = await post(scene, alice, 'message.send', {
    to: `curl-bob-${scene.transport}`, body: { text: 'hello from curl' },
  });
  assert.equal(sent.seq, 1);
  const text = await (following ??
    curl([...bearer, `${url}/v1/poll?cursor=${cursor}`]));
  if (scene.transport === 'sse') {
    assert.match(text, /^id: [0-9a-f]{8}-\d+$/m);
    assert.match(text, /^event: hello$/m);
    assert.match(text, /^event: message$/m);
    assert.ok(text.includes(`id: ${sent.cursor}\n`));
  } else if (scene.transport === 'stream') {
    assert.equal(JSON.parse(text.split('\n')[1]).cursor, sent.cursor);
  } else if (scene.transport === 'ws') {
    assert.match(text, /^HTTP\/1\.1 101 /);
    assert.match(text, /^Sec-WebSocket-Protocol: rung\.v1\r$/im);
    assert.match(text, /"event":"hello"/);
  } else {
    const { events, more } = JSON.parse(text);
    assert.equal(events[0].cursor, sent.cursor);
    assert.equal(events[0].body.text, 'hello from curl');
    assert.equal(more, false);
  }
});

scenario('curl -I, -X OPTIONS and HTTP/1.0', { skip }, async (scene) => {
  const { url } = scene.server;
  const bearer = ['-H', `Authorization: Bearer ${await login(scene, 'iris')}`];

  assert.match(await curl(['-I', ...bearer, `${url}/v1/poll`]),
               /^HTTP\/1\.1 200 /);
  assert.match(await curl(['-i', '-X', 'OPTIONS', `${url}/v1/poll`]),
               /^Allow: .*GET/im);
  assert.match(await curl(['-i', '--http1.0', ...bearer, `${url}/v1/poll`]),
               /^HTTP\/1\.[01] 200 /);
});

scenario('curl may expect 100-continue before a body', { skip },
         async (scene) => {
  const token = await login(scene, 'iris');
  const text = await curl([
    '-H', `Authorization: Bearer ${token}`, '-H', 'Expect: 100-continue',
    '-d', JSON.stringify({ to: 'jo', body: { text: 'x'.repeat(5000) } }),
    `${scene.server.url}/v1/message.send`]);

  assert.equal(JSON.parse(text).seq, 1);
});
