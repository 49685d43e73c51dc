// rung tail on a network where rungs are blocked and freed: it stands on the
// best that gets through, and prints everything once.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import net from 'node:net';
import { RUNG_BIN } from '../lib/server.mjs';
import { scenario } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const rungs = ['ws', 'stream', 'sse', 'multipart', 'longpoll', 'poll'];

/** Before the server: lets each transport through, or not. A connection is of
 * the transport that its first request names. */
class Gate {
  #blocked = new Map();
  #pairs = new Set();
  #server;

  static async open(scene) {
    const gate = new Gate();
    const { port } = scene.server;

    gate.#server = net.createServer((down) => gate.#join(down, port));
    await new Promise((resolve) => gate.#server.listen(0, '127.0.0.1', resolve));
    scene.onClose(() => gate.close());
    return gate;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  #join(down, port) {
    const up = net.connect(port, '127.0.0.1');
    const pair = { down, up, name: undefined };
    const part = () => this.#part(pair);

    this.#pairs.add(pair);
    for (const socket of [down, up])
      socket.on('error', part).on('close', part);
    down.on('data', (bytes) => {
      pair.name ??= /^\w+ \/v1\/([\w.]+)/.exec(bytes)?.[1] ?? '';
      const how = this.#blocked.get(pair.name);
      if (how === 'cut')
        part();
      else if (how !== 'hang')
        up.write(bytes);
    });
    up.on('data', (bytes) => {
      const how = this.#blocked.get(pair.name);
      if (how === 'buffer') { // it says 200, and holds the rest back
        const head = bytes.indexOf('\r\n\r\n');
        if (head >= 0 && !pair.said)
          down.write(bytes.subarray(0, head + 4));
        pair.said = true;
      } else if (how === undefined) {
        down.write(bytes);
      }
    });
  }

  #part(pair) {
    this.#pairs.delete(pair);
    pair.up.destroy();
    pair.down.destroy();
  }

  /** From now on `how`: 'cut', 'hang' or 'buffer'; what is open is cut. */
  block(name, how) {
    this.#blocked.set(name, how);
    for (const pair of [...this.#pairs])
      if (pair.name === name)
        this.#part(pair);
  }

  free(name) {
    this.#blocked.delete(name);
    for (const pair of [...this.#pairs])
      if (pair.name === name) // what it has swallowed never comes
        this.#part(pair);
  }

  close() {
    this.#server.close();
    for (const pair of [...this.#pairs])
      this.#part(pair);
  }
}

function tail(scene, url, bob, args = []) {
  const child = spawn(RUNG_BIN, ['tail', '--url', url, '--token', bob.token,
                                 '--cursor', '0', '--interval-ms', '50',
                                 ...args]);
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
  running.on = () => running.stderr.match(/over (\w+)\n/g)?.at(-1).slice(5, -1);
  running.standsOn = (name) => eventually(() => running.on() === name,
    `tail stands on ${name}; ${running.stderr}`, 20000);
  return running;
}

const messages = (running) => running.text.split('\n').slice(0, -1)
  .map((line) => JSON.parse(line)).filter(({ event }) => event === 'message');

scenario('whichever rungs are blocked, tail lands on the best open', {
  timeout: 600000, // 63 of them, on a machine that may be busy
}, async (scene) => {
  const bob = await scene.person('bob');
  // all but the one in which none is open
  const combinations = Array.from({ length: 2 ** rungs.length - 1 },
                                  (_, bits) => rungs.filter((__, i) =>
                                    bits & 1 << i));
  const land = async (blocked, turn) => {
    const gate = await Gate.open(scene);
    blocked.forEach((name, i) =>
      gate.block(name, ['cut', 'hang', 'buffer'][(turn + i) % 3]));
    const running = tail(scene, gate.url, bob);
    await running.standsOn(rungs.find((name) => !blocked.includes(name)));
    running.child.kill('SIGTERM');
    assert.equal(await running.ended, 0, running.stderr);
  };

  while (combinations.length > 0)
    await Promise.all(combinations.splice(0, 8).map(land));
});

scenario('nothing is lost and nothing comes twice while rungs come and go', {
  timeout: 180000,
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const gate = await Gate.open(scene);
  const running = tail(scene, gate.url, bob);
  const said = [];
  let going = true;
  const flow = (async () => {
    for (let i = 0; going; i++) {
      said.push(`n${i}`);
      await alice.send(bob, said.at(-1));
    }
  })();

  scene.onClose(async () => { // else its end hides why the story failed
    going = false;
    await flow.catch(() => {});
  });

  // None hangs: a probe that does takes ten seconds, and the others wait for it.
  // And what is freed late rests for long: twice as long after each failure.
  const ways = { ws: 'buffer', stream: 'cut', sse: 'buffer', multipart: 'cut',
                 longpoll: 'cut' };
  await running.standsOn('ws');
  for (const [i, name] of Object.keys(ways).entries()) {
    gate.block(name, ways[name]);
    await running.standsOn(rungs[i + 1]);
  }
  gate.free('longpoll');
  await running.standsOn('longpoll');
  gate.free('stream');
  gate.free('ws');
  await running.standsOn('ws');
  gate.block('ws', 'hang');
  await running.standsOn('stream');
  going = false;
  await flow;
  await eventually(() => running.text.includes(`"${said.at(-1)}"`),
                   'the last one comes', 20000);
  running.child.kill('SIGTERM');
  await running.ended;
  assert.deepEqual(messages(running).map(({ body }) => body.text), said);
});

scenario('all rungs away for a while: it comes back by itself', {
  timeout: 60000,
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const gate = await Gate.open(scene);
  const running = tail(scene, gate.url, bob);

  await running.standsOn('ws');
  for (const name of rungs)
    gate.block(name, 'cut');
  await eventually(() => /again in/.test(running.stderr), 'it waits', 20000);
  await alice.say(bob, 'one', 'two');
  for (const name of rungs)
    gate.free(name);
  await eventually(() => messages(running).length === 2, 'both come', 40000);
  assert.deepEqual(messages(running).map(({ body }) => body.text),
                   ['one', 'two']);
});

scenario('who may not follow is told so, over whatever rung', async (scene) => {
  const [alice, eve] = await scene.people('alice', 'eve');
  const { conversation } = await alice.group([], { joinable: false });
  const child = spawn(RUNG_BIN, ['tail', '--url', scene.server.url, '--token',
    eve.token, '--conversation', conversation]);
  let stderr = '';

  child.stderr.setEncoding('utf8').on('data', (part) => { stderr += part; });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.equal(code, 1);
  assert.match(stderr, /not_member|not in this conversation|not found/);
});
