// What only a websocket can do wrong, and what only it can do.

import assert from 'node:assert/strict';
import net from 'node:net';
import WebSocket from 'ws';
import {
  CLOSE, closing, CONTINUATION, frame, handshake, PING, RawPeer, TEXT,
} from '../lib/frames.mjs';
import { raw } from '../lib/http.mjs';
import { p2p, scenario } from '../lib/story.mjs';
import { eventually, within } from '../lib/wait.mjs';

const closeOf = (follower) => follower.ending(5000);

scenario('the subprotocol is rung.v1, or none', async (scene) => {
  const bob = await scene.person('bob');

  const offered = await bob.follow('ws', { protocols: ['other', 'rung.v1'] });
  assert.equal(offered.socket.protocol, 'rung.v1');
  const without = await bob.follow('ws', { protocols: [] });
  assert.equal(without.socket.protocol, '');
  assert.ok(without.hello);
});

scenario('no extension is agreed to, whatever is offered', async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws', { ws: { perMessageDeflate: true } });

  assert.equal(follower.socket.extensions, '');
});

scenario('the first frame may say who I am and where I stand',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { cursor } = await alice.send(bob, 'one');

  await alice.send(bob, 'two');
  const mixed = await scene.follow('ws', {});
  const { error } = await mixed.reply('auth', { token: bob.token, cursor });
  assert.equal(error, undefined);
  await mixed.seen('hello');
  await mixed.next('message');
  assert.deepEqual(mixed.texts, ['two']);

  const single = await scene.follow('ws', {});
  await single.reply('auth', { token: bob.token, device: 'phone',
                               conversation: p2p(alice, bob), after: 0 });
  await single.take(2, 'message');
  assert.deepEqual(single.texts, ['one', 'two']);
});

scenario('a page of history far larger than a burst comes over it',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  await alice.say(bob, ...Array(12).fill('x'.repeat(60000)));
  const follower = await alice.follow('ws', { cursor: await alice.now() });
  const { result } = await follower.reply('message.history', {
    conversation: p2p(alice, bob), limit: 200,
  });

  assert.equal(result.messages.length, 12);
});

scenario('who goes on being refused is not listened to for ever',
         async (scene) => {
  const peer = await RawPeer.open(scene.server.port, '/v1/ws');
  scene.onClose(() => peer.destroy());

  await peer.send([frame(TEXT, 'x\n'.repeat(3000))]);
  await peer.until(() => peer.frames.some(({ opcode, payload }) =>
    opcode === CLOSE && payload.readUInt16BE(0) === 1008), 'closed with 1008');
});

scenario('before auth no other method is run', async (scene) => {
  const alice = await scene.person('alice');
  const bob = await scene.person('bob');
  const follower = await scene.follow('ws', {});
  const reply = await follower.reply('message.send', {
    to: bob.name, body: { text: 'anonymous' },
  }).catch(() => ({ error: { code: 'unauthorized' } }));

  assert.equal(reply.error.code, 'unauthorized');
  await alice.send(bob, 'signed');
  assert.deepEqual((await bob.readAll()).filter(({ event }) =>
    event === 'message').map((event) => event.from), [alice.name]);
});

scenario('a bad token in auth is refused; the websocket may try another',
         async (scene) => {
  const bob = await scene.person('bob');
  const follower = await scene.follow('ws', {});
  const reply = await follower.reply('auth', { token: 'nonsense' })
    .catch(() => undefined);

  if (reply === undefined || follower.end) {
    const { code } = await closeOf(follower);
    assert.ok(code >= 4100 && code < 4200, `closed with ${code}`);
    return;
  }
  assert.equal(reply.error.code, 'unauthorized');
  const { error } = await follower.reply('auth', { token: bob.token });
  assert.equal(error, undefined);
  await follower.seen('hello');
});

scenario('a websocket that never says who it is is closed', {
  env: { RUNG_HEADER_TIMEOUT_MS: '1000' },
}, async (scene) => {
  const { code } = await closeOf(await scene.follow('ws', {}));
  assert.ok(code === 1008 || (code >= 4100 && code < 4200),
            `closed with ${code}`);
});

scenario('several objects in one frame are each answered', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await alice.follow('ws');
  const frame = [1, 2, 3].map((n) => JSON.stringify({
    id: `f${n}`, method: 'message.send',
    params: { to: bob.name, body: { text: `n${n}` } },
  })).join('\n');

  follower.socket.send(frame);
  const replies = [];
  while (replies.length < 3)
    replies.push(await follower.next((event) => event.id !== undefined));
  assert.deepEqual(replies.map(({ id }) => id).sort(), ['f1', 'f2', 'f3']);
  assert.deepEqual(replies.map(({ result }) => result.seq).sort(), [1, 2, 3]);
});

scenario('a call may be spelled with escapes, its id is any scalar',
         async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws');
  const ids = ['"\\u00e9\\n"', '-1.50e0', 'null', 'true', '9007199254740991'];
  const got = [];

  for (const id of ids)
    follower.socket.send(
      `{"\\u0069d" : ${id}, "m\\u0065thod":"session\\u002einfo","params":{}}`);
  while (got.length < ids.length)
    got.push(await follower.next((event) => event.id !== undefined));
  assert.deepEqual(got.map(({ id }) => id), ids.map((id) => JSON.parse(id)));
  for (const { result } of got)
    assert.equal(result.user, bob.name);
});

scenario('a frame in fragments is one frame', async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws');

  follower.socket.send('{"id":"frag', { fin: false });
  follower.socket.send('ments","method":', { fin: false });
  follower.socket.send('"session.info"}', { fin: true });
  const { result } = await follower.next((event) => event.id === 'fragments');
  assert.equal(result.user, bob.name);
});

scenario('what is no JSON object is answered bad_request, in its place',
         async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws');

  for (const text of ['{', '[]', '7', '{"id":1}', '{"id":2,"method":7}',
                      '{"id":3,"method":"session.info","params":[]}']) {
    follower.socket.send(text);
    const { error } = await follower.next((event) => event.error !== undefined);
    assert.equal(error.code, 'bad_request', text);
    assert.ok(error.message.length > 0);
  }
  assert.equal((await follower.reply('session.info')).result.user, bob.name);
});

scenario('an unknown method is not_found and named', async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws');
  const { error } = await follower.reply('message.sned');

  assert.equal(error.code, 'not_found');
  assert.match(error.message, /message\.sned/);
});

scenario('more calls at once than may be under way are all answered, in order',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await alice.follow('ws');
  const ids = Array.from({ length: 2000 }, (_, i) => i);

  follower.socket._socket.cork();
  for (const id of ids)
    follower.socket.send(JSON.stringify({
      id, method: 'message.send',
      params: { to: bob.name, body: { text: `n${id}` }, echo: false },
    }));
  follower.socket._socket.uncork();
  const seqs = [];
  while (seqs.length < ids.length) {
    const { id, result } =
      await follower.next((event) => event.id !== undefined);
    assert.equal(id, seqs.length);
    seqs.push(result.seq);
  }
  assert.deepEqual(seqs, ids.map((id) => id + 1));
});

const broken = {
  'a binary frame closes with 1003': [1003, (socket) =>
    socket.send(Buffer.from('{"id":1,"method":"session.info"}'))],
  'invalid UTF-8 closes with 1007': [1007, (socket) =>
    socket.send(Buffer.from('{"id":"\xff\xfe"}', 'latin1'), { binary: false })],
  'text cut inside a character closes with 1007': [1007, (socket) => {
    socket.send(Buffer.from([0x22, 0xe4, 0xbd]), { binary: false, fin: false });
    socket.send(Buffer.from(''), { binary: false, fin: true });
  }],
  'a frame that is too large closes with 1009': [1009, (socket) =>
    socket.send(JSON.stringify({ id: 1, method: 'message.send', params: {
      to: 'bob', body: { text: 'x'.repeat(300000) } } }))],
};

for (const [what, [expected, doIt]] of Object.entries(broken))
  scenario(what, async (scene) => {
    const bob = await scene.person('bob');
    const follower = await bob.follow('ws');

    doIt(follower.socket);
    const { code } = await closeOf(follower);
    assert.equal(code, expected);
    // only this one is concerned
    assert.ok((await bob.follow('ws')).hello);
  });

scenario('a close is answered with its own code', async (scene) => {
  const bob = await scene.person('bob');

  for (const code of [1000, 1001, 3000, 4999]) {
    const follower = await bob.follow('ws');
    follower.socket.close(code);
    assert.equal((await closeOf(follower)).code, code);
  }
});

scenario('a reply asked for just before the close still comes, or the close ' +
         'comes clean', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await alice.follow('ws');

  follower.socket.send(JSON.stringify({
    id: 1, method: 'message.send',
    params: { to: bob.name, client_msg_id: 'last', body: { text: 'last' } },
  }));
  follower.socket.close(1000);
  assert.equal((await closeOf(follower)).code, 1000);
  // whether stored or not, the retry is stored once
  await alice.send(bob, 'last', { client_msg_id: 'last' });
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 1);
});

scenario('a ping is answered with its payload, each of several',
         async (scene) => {
  const bob = await scene.person('bob');
  const follower = await bob.follow('ws');
  const pongs = [];
  const all = new Promise((resolve) => {
    follower.socket.on('pong', (data) => {
      pongs.push(data.toString());
      if (pongs.at(-1) === 'three')
        resolve();
    });
  });

  follower.socket._socket.cork();
  for (const text of ['one', 'two', 'three'])
    follower.socket.ping(text);
  follower.socket._socket.uncork();
  await within(5000, all, () => `three pongs; so far ${pongs}`);
  assert.deepEqual(pongs, ['one', 'two', 'three']);
});

scenario('a handshake that is none is refused', async (scene) => {
  const bob = await scene.person('bob');
  const target = `/v1/ws?access_token=${bob.token}`;
  const wrong = {
    'another version': [/^HTTP\/1\.1 (426|400) /,
                        { headers: { 'Sec-WebSocket-Version': '12' } }],
    'no key': [/^HTTP\/1\.1 400 /,
               { headers: { 'Sec-WebSocket-Key': undefined } }],
    'a bad key': [/^HTTP\/1\.1 400 /,
                  { headers: { 'Sec-WebSocket-Key': 'dG9vIHNob3J0' } }],
    'a POST': [/^HTTP\/1\.1 (405|400) /,
               { line: `POST ${target} HTTP/1.1` }],
    'HTTP/1.0': [/^HTTP\/1\.[01] 4\d\d /, { line: `GET ${target} HTTP/1.0` }],
    'another path': [/^HTTP\/1\.1 (404|400) /,
                     { line: 'GET /v1/elsewhere HTTP/1.1' }],
    'no upgrade': [/^HTTP\/1\.1 (426|400) /,
                   { headers: { Upgrade: undefined, Connection: 'close' } }],
  };

  for (const [what, [expected, changes]] of Object.entries(wrong)) {
    const { text } = await raw(scene.server.port, handshake(target, changes),
                               { until: '\r\n\r\n' });
    assert.match(text, expected, what);
  }
});

scenario('a kept HTTP connection may become a websocket', async (scene) => {
  const bob = await scene.person('bob');
  const first = `GET /v1/poll?access_token=${bob.token} HTTP/1.1\r\n` +
                'Host: localhost\r\n\r\n';
  const socket = net.connect(scene.server.port, '127.0.0.1');
  let text = '';
  scene.onClose(() => socket.destroy());
  const sees = (what) => within(5000, new Promise((resolve) => {
    const look = () => what.test(text) && resolve();
    socket.on('data', look);
    look();
  }), () => `${what} in ${text}`);

  socket.setEncoding('latin1');
  socket.on('data', (part) => { text += part; });
  socket.write(first);
  await sees(/"hello"/);
  text = '';
  socket.write(handshake(`/v1/ws?access_token=${bob.token}`));
  await sees(/^HTTP\/1\.1 101 /);
  await sees(/"event":"hello"/);
});

const brokenFrames = {
  'an unmasked frame': frame(TEXT, '{}', { masked: false }),
  'a reserved opcode': frame(3, '{}'),
  'a reserved bit': frame(TEXT, '{}', { rsv: 4 }),
  'a continuation of nothing': frame(CONTINUATION, '{}'),
  'a ping in fragments': frame(PING, 'x', { fin: false }),
  'a ping that is too long': frame(PING, Buffer.alloc(255)),
  'a length with its top bit set':
    frame(TEXT, '', { length: 2n ** 64n - 1n, lengthBytes: 8 }),
  'a close code nobody may send': frame(CLOSE, closing(1005)),
  'a close of one byte': frame(CLOSE, '\x03'),
};

for (const [what, bytes] of Object.entries(brokenFrames))
  scenario(`${what} ends the connection and nothing else`, async (scene) => {
    const bob = await scene.person('bob');
    const socket = net.connect(scene.server.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.on('close', resolve));
    let text = '';

    scene.onClose(() => socket.destroy());
    socket.on('error', () => {});
    socket.setEncoding('latin1');
    socket.write(handshake(`/v1/ws?access_token=${bob.token}`));
    await within(5000, new Promise((resolve) => {
      socket.on('data', (part) => {
        text += part;
        if (text.includes('"event":"hello"'))
          resolve();
      });
    }), () => `hello; got ${text}`);
    text = '';
    socket.write(bytes);
    // a close frame, or no words at all
    const dismissed = new Promise((resolve) => {
      socket.on('data', () => text.startsWith('\x88') && resolve());
    });
    await within(3000, Promise.race([closed, dismissed]),
                 () => `closed; got ${JSON.stringify(text)}`);
    await scene.server.answers();
  });

scenario('a peer that answers no ping is let go, one that does stays', {
  env: { RUNG_HEARTBEAT_MS: '1000' }, // it must answer each within that
}, async (scene) => {
  const bob = await scene.person('bob');
  const alive = await bob.follow('ws');
  const deaf = net.connect(scene.server.port, '127.0.0.1');
  const closed = new Promise((resolve) => deaf.on('close', resolve));
  let pings = 0;

  scene.onClose(() => deaf.destroy());
  deaf.on('error', () => {});
  deaf.on('data', () => {}); // it reads, and never answers
  alive.socket.on('ping', () => pings++);
  deaf.write(handshake(`/v1/ws?access_token=${bob.token}`));
  await within(5000, closed, 'the deaf one is let go');
  const before = pings;
  await eventually(() => pings >= before + 2, 'the other is pinged on');
  assert.equal(alive.end, undefined);
});

scenario('a ping leaves with its heartbeat, in one write', {
  env: { RUNG_HEARTBEAT_MS: '1000' },
}, async (scene) => {
  const follower = await (await scene.person('bob')).follow('ws');
  let pings = 0;

  follower.socket.on('ping', () => pings++);
  await follower.take(3, 'heartbeat');
  const writes = await scene.server.metric('rung_writes_total', '"ws"');
  await follower.reply('session.info'); // behind all that was written by then
  assert.ok(pings >= 3);
  assert.ok(writes <= 1 + pings, `${writes} writes, of hello and ${pings} beats`);
});

scenario('binary, bad and large peers at once leave the others alone',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const good = await bob.follow('ws');
  const bad = await Promise.all(Array.from({ length: 12 }, () =>
    alice.follow('ws')));

  bad.forEach((follower, i) =>
    Object.values(broken)[i % 4][1](follower.socket));
  await Promise.all(bad.map(closeOf));
  await alice.send(bob, 'unmoved');
  await good.next('message');
  assert.equal(good.socket.readyState, WebSocket.OPEN);
});
