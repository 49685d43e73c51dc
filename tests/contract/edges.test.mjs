// What a stranger may try at the door: heads that two readers would understand
// differently, pieces without end, descriptors without end.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import net from 'node:net';
import { streams } from '../lib/followers.mjs';
import { raw } from '../lib/http.mjs';
import { rung, RUNG_BIN } from '../lib/server.mjs';
import { scenario, story } from '../lib/story.mjs';
import { eventually, pause, within } from '../lib/wait.mjs';

const first = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';

/** CPU time of the process, in clock ticks. */
async function ticks({ pid }) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8'))
    .replace(/^.*\) /s, '').split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

async function assertRests(server, what) {
  await eventually(async () => {
    const before = await ticks(server);
    await pause(1000);
    return await ticks(server) - before < 50; // of a hundred
  }, `the server rests: ${what}`, 10000);
}

/** Send `bytes` on a connection that has had an answer already. */
function later(port, bytes) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(first));
    let text = '';
    let asked = false;
    socket.setEncoding('latin1');
    socket.setTimeout(5000, () => socket.destroy(new Error(`so far: ${text}`)));
    socket.on('error', reject);
    socket.on('data', (part) => {
      text += part;
      if (!asked && text.includes('}}')) {
        asked = true;
        text = '';
        socket.write(bytes);
      }
    });
    socket.on('end', () => {
      socket.destroy();
      resolve(text);
    });
  });
}

scenario('a later head is read as strictly as the first', async (scene) => {
  const { port } = scene.server;
  const post = 'POST /v1/demo.login HTTP/1.1\r\nHost: x\r\n';
  const heads = {
    'LF alone': 'GET /healthz HTTP/1.1\nHost: x\n\n',
    'LF alone at the end': 'GET /healthz HTTP/1.1\r\nHost: x\r\n\n',
    'LF alone and a space': 'GET /healthz HTTP/1.1\r\nA:  b\nHost: x\r\n\r\n',
    'a folded line': 'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n',
    'a folded coding': `${post}Transfer-Encoding:\r\n chunked\r\n\r\n` +
      '2\r\n{}\r\n0\r\n\r\n',
    'NUL in a value': 'GET /healthz HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n',
    'NUL in the target': 'GET /healthz\0c HTTP/1.1\r\nHost: x\r\n\r\n',
    'two spaces': 'GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n',
    'a nameless field': 'GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n',
    'two lengths': `${post}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
  };

  for (const [what, head] of Object.entries(heads)) {
    const text = await later(port, head);
    assert.match(text, /^HTTP\/1\.1 400 /, what);
    assert.match(text, /bad_request/, what);
    assert.equal(text.match(/HTTP\/1\.1 /g).length, 1, what);
  }
});

scenario('a later head may come byte by byte, with odd but legal spaces',
         async (scene) => {
  const socket = net.connect(scene.server.port, '127.0.0.1');
  scene.onClose(() => socket.destroy());
  let text = '';
  socket.setNoDelay(true);
  socket.setEncoding('latin1').on('data', (part) => { text += part; });
  const odd = 'GET /healthz HTTP/1.1\r\nHost:\tx \r\nA:\r\nB: \r\nC:  c  \r\n' +
    `D: ${'d'.repeat(1500)}\r\n\r\n`;

  for (const wanted of [1, 2, 3]) {
    for (const byte of odd) {
      socket.write(byte);
      if (Math.random() < 0.1)
        await pause(0);
    }
    await eventually(() => text.match(/HTTP\/1\.1 200/g)?.length === wanted,
                     `answer ${wanted}; so far: ${text}`);
  }
});

scenario('many headers, parameters and cookies are taken up to a limit',
         async (scene) => {
  const { port } = scene.server;
  const many = (n, make) => Array.from({ length: n }, (_, i) => make(i));
  const ask = ({ fields = 0, params = 0, cookies = 0, more = '' }) => raw(port,
    `GET /healthz?${many(params, (i) => `p${i}=1`).join('&')} HTTP/1.1\r\n` +
    'Host: x\r\nConnection: close\r\n' +
    many(fields, (i) => `F${i}: 1\r\n`).join('') +
    (cookies ? `Cookie: ${many(cookies, (i) => `c${i}=1`).join('; ')}\r\n`
             : '') + `${more}\r\n`);

  for (const what of [{ fields: 40 }, { fields: 190 }, { params: 60 },
                      { params: 190 }, { cookies: 60 }, { cookies: 190 },
                      { more: `Cookie: ${'c'.repeat(7900)}\r\n` },
                      { fields: 60, params: 60, cookies: 60,
                        more: `A: ${'a'.repeat(6000)}\r\n` }]) {
    const { text } = await ask(what);
    assert.match(text, /^HTTP\/1\.1 200 /, JSON.stringify(what).slice(0, 80));
  }
  for (const what of [{ fields: 201 }, { params: 201 }, { cookies: 201 },
                      { params: 1000 }]) {
    const { text } = await ask(what);
    assert.match(text, /^HTTP\/1\.1 431 /, JSON.stringify(what));
    assert.match(text, /200 headers, parameters and cookies/);
  }
});

scenario('a head that ends too early is told so', async (scene) => {
  const socket = net.connect({ port: scene.server.port, host: '127.0.0.1',
                               allowHalfOpen: true });
  let text = '';
  socket.setEncoding('latin1').on('data', (part) => { text += part; });
  socket.end('GET /healthz HTTP/1.1\r\nHost: x\r\n');
  await eventually(() => text.includes('}}'), 'an answer');
  assert.match(text, /^HTTP\/1\.1 400 /);
  assert.match(text, /before its empty line/);
});

scenario('a chunk whose extension never ends keeps nobody busy', {
  env: { RUNG_BODY_TIMEOUT_MS: '3000', RUNG_WORKERS: '1' },
}, async (scene) => {
  const { server } = scene;
  const open = await server.metric('rung_connections');
  const sockets = Array.from({ length: 3 }, () => {
    const socket = net.connect(server.port, '127.0.0.1');
    socket.on('error', () => {});
    socket.write('POST /v1/demo.login HTTP/1.1\r\nHost: x\r\n' +
                 'Transfer-Encoding: chunked\r\n\r\n' +
                 `2;${'a'.repeat(9000)}`);
    return socket;
  });

  scene.onClose(() => sockets.forEach((socket) => socket.destroy()));
  await pause(200);
  await assertRests(server, 'while they wait');
  sockets[0].destroy();
  await eventually(async () => await server.metric('rung_connections') <= open,
                   'the connections are gone', 10000);
  await assertRests(server, 'when they are gone');
});

scenario('without file descriptors it says so once, rests, and recovers',
         async (scene) => {
  await scene.server.stop();
  const child = spawn('/bin/sh', ['-c', 'ulimit -n 70; exec "$0" "$@"',
    RUNG_BIN, 'serve', '--listen', '127.0.0.1:0', '--data', scene.server.dir,
    '--workers', '2', '--demo']);
  const ended = new Promise((resolve) => child.on('close', resolve));
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (part) => { out += part; });
  child.stderr.setEncoding('utf8').on('data', (part) => { err += part; });
  scene.onClose(async () => {
    child.kill('SIGTERM');
    await ended;
    await scene.server.start();
  });
  const port = Number((await eventually(
    () => /127\.0\.0\.1:(\d+)/.exec(out), `it listens; ${err}`, 10000))[1]);
  const sockets = Array.from({ length: 200 }, () => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    socket.on('data', () => {});
    return socket;
  });

  await eventually(() => err.includes('out of file descriptors'), 'a complaint');
  await assertRests(child, 'without descriptors');
  assert.ok(err.split('out of file descriptors').length <= 2 + 2, err);
  for (const socket of sockets)
    socket.destroy();
  await eventually(async () =>
    (await raw(port, first, { until: '}}' }).catch(() => ({ text: '' })))
      .text.includes('200 OK'), 'it serves again', 10000);
});

story('tail acknowledges what it has shown', { over: ['ws', 'sse'] },
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const mine = await alice.follow('sse');
  const child = spawn(RUNG_BIN, ['tail', '--url', scene.server.url, '--token',
    bob.token, '--transport', scene.transport, '--cursor', '0']);
  const ended = new Promise((resolve) => child.on('close', resolve));
  scene.onClose(async () => {
    child.kill('SIGKILL');
    await ended;
  });

  const { seq } = await alice.say(bob, 'one', 'two', 'three');
  const delivered = async () => {
    for (;;) {
      const receipt = await mine.next('receipt');
      if (receipt.kind === 'delivered' && receipt.user === bob.name &&
          receipt.seq === seq)
        return;
    }
  };
  await delivered();
});

scenario('tail with --count acknowledges before it ends', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { seq } = await alice.say(bob, 'one', 'two');
  const shown = await rung(['tail', '--url', scene.server.url, '--token',
    bob.token, '--cursor', '0', '--count', '2']);

  assert.equal(shown.code, 0, shown.stderr);
  await eventually(async () => (await alice.readAll()).some((event) =>
    event.event === 'receipt' && event.kind === 'delivered' &&
    event.user === bob.name && event.seq === seq), 'delivered');
});

scenario('tail shows no control characters on a terminal', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'a\u001b[2Jb\u009b31mc\u007fd é 你');
  const { stdout } = await rung(['tail', '--url', scene.server.url, '--token',
    bob.token, '--cursor', '0', '--count', '1', '--format', 'text']);
  assert.match(stdout, /a \[2Jb 31mc d é 你/);
});

scenario('/healthz is well from the first moment', async (scene) => {
  for (let i = 0; i < 5; i++) {
    await scene.server.restart();
    const { status, text } = await scene.server.get('/healthz');
    assert.equal(status, 200, text);
  }
});

scenario('the own host is the own host with its default port, too',
         async (scene) => {
  const asked = async (origin, host) => (await scene.server.get('/healthz',
    { headers: { origin, host } })).status;

  for (const [origin, host] of [['http://chat.example', 'chat.example'],
                                ['http://chat.example', 'chat.example:80'],
                                ['https://chat.example', 'chat.example:443'],
                                ['https://Chat.example', 'chat.example'],
                                ['http://[::1]', '[::1]:80'],
                                ['http://[::1]:8080', '[::1]:8080']])
    assert.equal(await asked(origin, host), 200, `${origin} at ${host}`);
  for (const [origin, host] of [['http://chat.example', 'chat.example:443'],
                                ['http://chat.example:8080', 'chat.example'],
                                ['https://chat.example:80', 'chat.example'],
                                ['other://chat.example', 'chat.example'],
                                ['http://:80', ':80'], ['http://', ''],
                                ['null', 'null']])
    assert.equal(await asked(origin, host), 403, `${origin} at ${host}`);
});

scenario('the Flash socket is retired and names the next rung',
         async ({ server }) => {
  for (const method of ['GET', 'POST']) {
    const { status, json } = await server.get('/v1/flashsocket', { method });
    assert.equal(status, 410);
    assert.equal(json.error.code, 'retired');
    assert.match(json.error.message, /next rung is \/v1\/ws/);
  }
});

scenario('a Flash policy-file request is refused and closed at once', {
  env: { RUNG_HEADER_TIMEOUT_MS: '60000' },
}, async ({ server }) => {
  const { text, closed } = await raw(server.port,
                                     '<policy-file-request/>\0');

  assert.ok(closed);
  assert.match(text, /^HTTP\/1\.1 400 /);
});

scenario('a list of conversations is paged by its bytes, too', async (scene) => {
  const alice = await scene.person('alice');
  const others = await scene.people(
    ...Array.from({ length: 20 }, (_, i) => `other${i}`));
  for (const other of others)
    await alice.send(other, 'x'.repeat(60000));

  const pages = [];
  for (let before; pages.length < 5;) {
    const page = await alice.call('conversation.list', { limit: 200, before });
    pages.push(page.conversations.length);
    if (!page.more)
      break;
    ({ before } = page);
  }
  assert.ok(pages.length > 1, `pages of ${pages}`);
  assert.equal(pages.reduce((a, b) => a + b), 20);
});

scenario('who does not take an answer does not hold it for ever', {
  env: { RUNG_BODY_TIMEOUT_MS: '1500' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, ...Array(16).fill('x'.repeat(60000)));
  const names = [alice.name, bob.name].sort();
  const body = JSON.stringify({ conversation: `0:1:${names.join(':')}`,
                                limit: 200 });
  const ask = 'POST /v1/message.history HTTP/1.1\r\nHost: x\r\n' +
    `Authorization: Bearer ${alice.token}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`;
  const open = await scene.server.metric('rung_connections');
  const socket = net.connect(scene.server.port, '127.0.0.1');
  const gone = new Promise((resolve) => socket.on('close', resolve));
  let taken = 0;
  scene.onClose(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(ask.repeat(16)); // 15 MB: more than sockets hold
  const first = new Promise((resolve) => socket.once('data', (part) => {
    socket.pause();
    taken += part.length;
    resolve();
  }));
  await within(10000, first, 'the first bytes');
  await eventually(async () =>
    await scene.server.metric('rung_connections') <= open, 'it is cut', 10000);
  socket.on('data', (part) => { taken += part.length; });
  socket.resume();
  await within(10000, gone, 'the end');
  assert.ok(taken < 12e6, `${taken} bytes`);
});

story('who floods a stream is not read for ever', { over: streams },
      async (scene) => {
  const bob = await scene.person('bob');
  const socket = net.connect(scene.server.port, '127.0.0.1');
  const gone = new Promise((resolve) => socket.on('close', resolve));
  scene.onClose(() => socket.destroy());
  socket.on('error', () => {});
  socket.write(`GET /v1/${scene.transport}?access_token=${bob.token}&callback=f ` +
               'HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await new Promise((resolve) => socket.once('data', resolve));
  socket.resume();
  const flood = () => {
    while (!socket.destroyed && socket.write(Buffer.alloc(65536)));
  };
  socket.on('drain', flood);
  flood();
  await within(10000, gone, 'the stream ends');
});
