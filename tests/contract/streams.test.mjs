// Endless responses: what nothing on the way may hold back, and how they end.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { streams } from '../lib/followers.mjs';
import { Roamer } from '../lib/roamer.mjs';
import { raw } from '../lib/http.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually, seeded } from '../lib/wait.mjs';

/** Blanks, at least, before the first event. */
const padding = { sse: 256, stream: 2048, multipart: 256, iframe: 1024 };

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

story('a part of the multipart stream is whole when its batch is committed',
      { over: ['multipart'] }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const parts = [];
  const follower = await bob.follow('multipart', {
    onPart: (headers, body) => parts.push({ headers, body }),
  });

  assert.match(follower.response.headers.get('content-type'),
               /^multipart\/x-mixed-replace; boundary=/);
  // what nobody follows up on: the parser must know the end of this one
  await alice.send(bob, '--rung\r\n\r\n--rung--\r\n');
  await follower.next('message');
  assert.deepEqual(follower.texts, ['--rung\r\n\r\n--rung--\r\n']);
  assert.ok(parts.length >= 2);
  for (const { headers, body } of parts) {
    assert.deepEqual(headers['content-type'], ['application/json']);
    assert.deepEqual(headers['content-length'], [String(body.length)]);
    assert.ok(Array.isArray(JSON.parse(body)));
  }
});

story('who accepts multipart/mixed gets that', { over: ['multipart'] },
      async (scene) => {
  const bob = await scene.person('bob');
  const typeFor = async (accept) => {
    const follower = await bob.follow('multipart', { headers: { accept } });
    follower.drop();
    return follower.response.headers.get('content-type').split(';')[0];
  };

  assert.equal(await typeFor('text/plain, Multipart/Mixed;q=0.9'),
               'multipart/mixed');
  assert.equal(await typeFor('*/*'), 'multipart/x-mixed-replace');
});

story('the last delimiter closes the multipart body', {
  over: ['multipart'], fresh: true,
}, async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('multipart');
  const stopped = scene.server.stop();

  await follower.next('bye');
  await follower.ending();
  assert.ok(follower.closed);
  await stopped;
});

// a second parser, which goes by lines: CPython's own
const python = `
import email.feedparser, json, sys
parser = email.feedparser.BytesFeedParser()
parser.feed(b'Content-Type: ' + sys.argv[1].encode() + bytes([13, 10, 13, 10]))
while True:
    chunk = sys.stdin.buffer.read(7)
    if not chunk:
        break
    parser.feed(chunk)
whole = parser.close()
assert not whole.defects, whole.defects
print(json.dumps([json.loads(part.get_payload())
                  for part in whole.get_payload()]))
`;

story('a MIME parser of another make reads the same', {
  over: ['multipart'], env: { RUNG_STREAM_MAX_MS: '200',
                              RUNG_HEARTBEAT_MS: '100' },
}, async (scene, t) => {
  if (spawnSync('python3', ['--version']).status !== 0)
    return t.skip('there is no python3');
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, 'one', 'two');
  const { body, headers } = await bob.poll({ cursor: '0' },
                                           { path: '/v1/multipart' });
  const { stdout, stderr } = spawnSync(
    'python3', ['-c', python, headers['content-type']], { input: body });
  const kinds = JSON.parse(stdout.toString() || assert.fail(`${stderr}`))
    .flat().map(({ event }) => event);

  assert.deepEqual(kinds.filter((kind) => kind !== 'heartbeat'),
                   ['hello', 'message', 'message', 'bye']);
});

story('no body ends its script in the iframe', { over: ['iframe'] },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const text = '</script><!--<script>parent.broken=1</script> & \u2028\u2029';
  const follower = await bob.follow('iframe');

  await alice.send(bob, text);
  await follower.next('message');
  assert.deepEqual(follower.texts, [text]);
  const [, body] = follower.page.split('-->\n');
  for (const line of body.trimEnd().split('\n'))
    assert.match(line, /^<script>parent\["app\.on\$1"\]\(\[[^<>&\u2028\u2029]*\]\)<\/script>$/);
});

story('a callback of the iframe is a plain name', { over: ['iframe'] },
      async (scene) => {
  const bob = await scene.person('bob');

  for (const callback of [undefined, '', 'a b', 'alert(1)', 'a"]', 'ä',
                          'x'.repeat(65)]) {
    const { status, json } = await bob.poll(
      { ...(callback !== undefined && { callback }) }, { path: '/v1/iframe' });
    assert.equal(status, 400, callback);
    assert.match(json.error.message, /callback/);
  }
});

for (const [listed, ancestors, options] of [
  ['', "'self'", 'SAMEORIGIN'],
  ['https://one.example, https://two.example:8443',
   "'self' https://one.example https://two.example:8443", undefined],
  // what could end the policy is no origin
  ['https://one.example;script-src, https://two.example',
   "'self' https://two.example", undefined],
  ['*', "'self' *", undefined]])
  scenario(`the iframe may be framed by ${ancestors}`, {
    env: { RUNG_ALLOWED_ORIGINS: listed },
  }, async (scene) => {
    const bob = await scene.person('bob');
    const { headers } = (await bob.follow('iframe')).response;

    assert.match(headers.get('content-type'), /^text\/html/);
    assert.ok(headers.get('content-security-policy').split('; ')
      .includes(`frame-ancestors ${ancestors}`));
    assert.equal(headers.get('x-frame-options') ?? undefined, options);
    assert.equal(headers.get('referrer-policy'), 'no-referrer');
  });
