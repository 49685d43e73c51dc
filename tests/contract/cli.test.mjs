// The one binary on the command line.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { beyond } from '../lib/followers.mjs';
import { rung, RUNG_BIN, Server, temporaryFolder } from '../lib/server.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const commands = ['serve', 'token', 'send', 'tail', 'trace', 'check',
                  'backup', 'version'];

async function folder(scene) {
  const dir = await temporaryFolder();
  scene.onClose(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

scenario('every command has a --help', async () => {
  const all = await rung(['--help']);
  assert.equal(all.code, 0, all.stderr);
  for (const command of commands) {
    assert.match(all.stdout, new RegExp(`\\b${command}\\b`));
    const { code, stdout, stderr } = await rung([command, '--help']);
    assert.equal(code, 0, `${command}: ${stderr}`);
    assert.match(stdout, new RegExp(`rung ${command}`));
  }
});

scenario('docs/OPERATIONS.md shows the settings as rung prints them', async () => {
  const page = await readFile(
    new URL('../../docs/OPERATIONS.md', import.meta.url), 'utf8');
  const { stdout } = await rung(['serve', '--settings-markdown']);

  assert.equal(
    page.split('<!-- settings -->\n')[1].split('\n<!-- /settings -->')[0],
    stdout.trim());
});

scenario('version says which', async () => {
  for (const args of [['version'], ['--version']]) {
    const { code, stdout } = await rung(args);
    assert.equal(code, 0);
    assert.match(stdout, /^rung \d+\.\d+/);
  }
});

scenario('an unknown option or command is named, with what is accepted',
         async () => {
  for (const command of commands) {
    const { code, stderr } = await rung([command, '--wheels=4']);
    assert.notEqual(code, 0, command);
    assert.match(stderr, /--wheels/, command);
  }
  const none = await rung(['sevre']);
  assert.notEqual(none.code, 0);
  assert.match(none.stderr, /sevre/);
  assert.match(none.stderr, /serve/);
});

scenario('a wrong value names its option and what it takes', async (scene) => {
  const dir = await folder(scene);
  const wrong = [
    [['--workers', 'many'], /--workers/],
    [['--durability', 'hope'], /--durability.*sync.*relaxed/s],
    [['--heartbeat-ms', '1'], /--heartbeat-ms.*100/s],
    [['--listen', 'nowhere:70000'], /--listen|70000/],
    [['--workers'], /--workers/],
  ];

  for (const [args, expected] of wrong) {
    const { code, stderr } = await rung(['serve', '--data', dir, ...args]);
    assert.notEqual(code, 0, args.join(' '));
    assert.match(stderr, expected);
  }
  const byEnv = await rung(['serve', '--data', dir],
                           { env: { RUNG_WORKERS: 'many' } });
  assert.notEqual(byEnv.code, 0);
  assert.match(byEnv.stderr, /RUNG_WORKERS/);
});

scenario('token mints what the server takes, and inspects it', {
  demo: false, apps: { shop: 'the secret of the shop, 32 bytes' },
}, async (scene) => {
  const secret = ['--secret', scene.server.apps.shop];
  const minted = await rung(['token', 'mint', ...secret, '--app', 'shop',
                             '--user', 'bob', '--ttl', '60']);
  assert.equal(minted.code, 0, minted.stderr);
  const token = minted.stdout.trim();
  const { status } = await scene.server.get('/v1/poll', {
    headers: { authorization: `Bearer ${token}` },
  });
  assert.equal(status, 200);
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
  assert.equal(claims.sub, 'bob');
  assert.equal(claims.app, 'shop');
  const left = claims.exp - Date.now() / 1000;
  assert.ok(left > 50 && left <= 61);
  const good = await rung(['token', 'inspect', ...secret, token]);
  assert.equal(good.code, 0, good.stderr);
  assert.match(good.stdout, /bob/);
  const bad = await rung(['token', 'inspect', '--secret', 'x'.repeat(32),
                          token]);
  assert.notEqual(bad.code, 0);
});

scenario('send says where the message went', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { code, stdout, stderr } = await rung(
    ['send', '--url', scene.server.url, '--token', alice.token,
     '--to', bob.name, 'hello from the command line']);

  assert.equal(code, 0, stderr);
  assert.match(stdout, /seq/);
  const [event] = await bob.readAll();
  assert.equal(event.body.text, 'hello from the command line');
});

scenario('send that is refused says why and fails', async (scene) => {
  const { code, stderr } = await rung(
    ['send', '--url', scene.server.url, '--token', 'nonsense', '--to', 'bob',
     'hi']);

  assert.notEqual(code, 0);
  assert.match(stderr, /unauthorized|token/);
});

/** `rung tail` in the background, and what it has shown so far. */
function tail(scene, bob, args) {
  const child = spawn(RUNG_BIN, ['tail', '--url', scene.server.url,
                                 '--tcp', `127.0.0.1:${scene.server.linePort}`,
                                 '--token', bob.token, ...args]);
  const ended = new Promise((resolve) => child.on('close', resolve));
  const running = { child, text: '', stderr: '', ended };

  child.stdout.setEncoding('utf8').on('data', (part) => {
    running.text += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part) => {
    running.stderr += part;
  });
  scene.onClose(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  running.shows = (what) => eventually(() => running.text.includes(what),
    `tail shows ${what}; stderr: ${running.stderr}`, 10000);
  return running;
}

/** What tail knows. */
const over = ['auto', 'ws', 'tcp', 'stream', 'sse', 'multipart', 'longpoll',
              'poll'];

story('tail follows, keeps its cursor, and resumes where it stopped', { over },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const file = path.join(await folder(scene), 'cursor');
  const args = ['--transport', scene.transport, '--cursor-file', file];

  await alice.say(bob, 'msg-one', 'msg-two');
  const first = tail(scene, bob, [...args, '--cursor', '0']);
  await first.shows('msg-two');
  const live = await alice.send(bob, 'msg-three');
  await first.shows('msg-three');
  await eventually(async () => {
    const kept = (await readFile(file, 'utf8').catch(() => '')).trim();
    return kept !== '' && !beyond(live.cursor, kept);
  }, 'the cursor file has the last cursor');
  first.child.kill('SIGTERM');
  await first.ended;

  await alice.send(bob, 'msg-four');
  const second = tail(scene, bob, args);
  await second.shows('msg-four');
  assert.doesNotMatch(second.text, /msg-(one|two|three)/);
});

story('tail that ends after some events keeps where it ended', { over },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const file = path.join(await folder(scene), 'cursor');
  const once = async () => {
    const { code, stdout, stderr } = await rung(
      ['tail', '--url', scene.server.url,
       '--tcp', `127.0.0.1:${scene.server.linePort}`, '--token', bob.token,
       '--transport', scene.transport, '--cursor', '0',
       '--cursor-file', file, '--count', '1']);

    assert.equal(code, 0, stderr);
    return JSON.parse(stdout).body.text;
  };

  await alice.say(bob, 'one', 'two', 'three');
  assert.deepEqual([await once(), await once(), await once()],
                   ['one', 'two', 'three']);
});

story('tail comes back after the server was away', { over, fresh: true },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const running = tail(scene, bob, ['--transport', scene.transport,
                                          '--cursor', '0']);

  await alice.send(bob, 'msg-one');
  await running.shows('msg-one');
  await scene.server.restart();
  await alice.send(bob, 'msg-two');
  await running.shows('msg-two');
  assert.equal(running.text.split('msg-one').length, 2);
});

scenario('check passes a good store, and refuses one in use or absent',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { dir } = scene.server;

  await alice.say(bob, 'one', 'two');
  await scene.server.stop();
  const good = await rung(['check', '--data', dir]);
  assert.equal(good.code, 0, good.stdout + good.stderr);
  const rebuilt = await rung(['check', '--data', dir, '--rebuild']);
  assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr);
  await scene.server.start();
  assert.equal((await bob.history(`0:1:${alice}:${bob}`)).messages.length, 2);
  const absent = await rung(['check', '--data', path.join(dir, 'absent')]);
  assert.notEqual(absent.code, 0);
  assert.match(absent.stderr, /absent/);
});

scenario('backup copies a running store, and the copy serves',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { cursor } = await alice.say(bob, 'one', 'two');
  const copy = path.join(await folder(scene), 'copy');
  const made = await rung(['backup', '--data', scene.server.dir, '--to', copy]);

  assert.equal(made.code, 0, made.stdout + made.stderr);
  await alice.send(bob, 'after the backup');
  const checked = await rung(['check', '--data', copy]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  const restored = await Server.start({ dir: copy });
  scene.onClose(() => restored.finish());
  const token = await restored.login(bob.name);
  const ask = async (from) => (await restored.get(
    `/v1/poll?cursor=${from}`,
    { headers: { authorization: `Bearer ${token}` } })).json;
  const { events } = await ask('0');
  assert.deepEqual(events.filter(({ event }) => event === 'message')
    .map((event) => event.body.text), ['one', 'two']);
  // it is another store from here on, so old cursors mean nothing in it
  assert.equal((await ask(cursor)).events[0]?.event, 'reset');
});

scenario('a second server on the same data refuses clearly', async (scene) => {
  const { code, stderr } = await rung(
    ['serve', '--listen', '127.0.0.1:0', '--data', scene.server.dir]);

  assert.ok(code > 0, String(code));
  assert.match(stderr, /in use|locked/);
  assert.ok(stderr.includes(scene.server.dir));
  await scene.server.answers();
});

scenario('a port that is taken is refused clearly', async (scene) => {
  const { port } = scene.server;
  const other = createServer();
  await new Promise((resolve) => other.listen(0, '127.0.0.1', resolve));
  scene.onClose(() => new Promise((resolve) => other.close(resolve)));
  const taken = other.address().port;
  const { code, stderr } = await rung(
    ['serve', '--listen', `127.0.0.1:${taken}`, '--data', await folder(scene)]);

  assert.notEqual(port, taken);
  assert.ok(code > 0, String(code));
  assert.ok(stderr.includes(String(taken)));
});

scenario('--check-config says whether a file is good, and where not',
         async (scene) => {
  const file = path.join(await folder(scene), 'rung.json');

  await writeFile(file, '{"workers": 2, "apps": {"a": {"hs256": ["' +
                        'x'.repeat(32) + '"]}}}');
  const good = await rung(['serve', '--config', file, '--check-config']);
  assert.equal(good.code, 0, good.stderr);
  await writeFile(file, '{"wrokers": 2}');
  const bad = await rung(['serve', '--config', file, '--check-config']);
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /wrokers/);
});
