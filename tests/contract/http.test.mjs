// HTTP as it is spoken out there: origins, old versions, other methods, and
// errors that say which parameter was wrong.

import assert from 'node:assert/strict';
import net from 'node:net';
import { overHttp, streams } from '../lib/followers.mjs';
import { raw } from '../lib/http.mjs';
import { p2p, scenario, story } from '../lib/story.mjs';
import { eventually } from '../lib/wait.mjs';

const friend = 'https://friend.example';
const withFriend = { env: { RUNG_ALLOWED_ORIGINS: friend } };
const answers = [...streams, 'longpoll', 'poll'];
const types = {
  sse: 'text/event-stream',
  stream: 'application/x-ndjson',
  multipart: 'multipart/x-mixed-replace; boundary=',
  iframe: 'text/html; charset=utf-8',
};

story('an origin that is not allowed is refused', {
  ...withFriend, over: overHttp,
}, async (scene) => {
  const bob = await scene.person('bob');

  for (const origin of ['https://evil.example', 'null',
                        'https://friend.example.evil.example']) {
    const follower = await bob.follow(scene.transport, { headers: { origin } });
    const { status, error } = await follower.ending();
    assert.equal(status, 403, origin);
    assert.equal(error?.code, 'forbidden');
  }
});

story('a listed origin and the own host are welcome', withFriend,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  for (const origin of [friend, scene.server.url]) {
    const follower = await bob.follow(scene.transport, { headers: { origin } });
    await alice.send(bob, 'hi');
    await follower.next('message');
    follower.drop();
  }
});

scenario('CORS reflects only listed origins', withFriend, async (scene) => {
  const bob = await scene.person('bob');

  const listed = await bob.poll({}, { headers: { origin: friend } });
  assert.equal(listed.headers['access-control-allow-origin'], friend);
  assert.match(listed.headers.vary, /origin/i);
  const other = await bob.poll({}, {
    headers: { origin: 'https://evil.example' },
  });
  assert.equal(other.status, 403);
  assert.equal(other.headers['access-control-allow-origin'], undefined);
  assert.match(other.headers.vary ?? '', /origin/i);
  // an error must be readable for the page, too
  const wrong = await bob.poll({ cursor: 'x' },
                               { headers: { origin: friend } });
  assert.equal(wrong.status, 400);
  assert.equal(wrong.headers['access-control-allow-origin'], friend);
});

const dated = /^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r$/im;

story('every answer says its date and which fields a page may read',
      { ...withFriend, over: answers }, async (scene) => {
  const bob = await scene.person('bob');
  const { text } = await raw(
    scene.server.port,
    `GET /v1/${scene.transport}?callback=f&wait=0` +
    `&access_token=${bob.token} HTTP/1.1\r\nHost: x\r\n` +
    `Origin: ${friend}\r\n\r\n`, { until: '\r\n\r\n' });

  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.match(text, dated);
  assert.ok(text.includes(`Access-Control-Allow-Origin: ${friend}\r\n`), text);
  assert.match(text, /^Access-Control-Expose-Headers: Retry-After\r$/m);
});

scenario('every refusal says its date, and what would be taken instead', {
  env: { RUNG_MAX_CONNECTIONS: '8', RUNG_WORKERS: '1' },
}, async ({ server }) => {
  const ws = 'GET /v1/ws HTTP/1.1\r\nHost: x\r\n';
  const shake = 'Upgrade: websocket\r\nConnection: Upgrade\r\n' +
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n';
  const wrong = [
    ['POST /v1/x HTTP/1.1\r\n\r\n', 400, /^Connection: close\r$/m],
    [`${ws}${shake}Sec-WebSocket-Version: 12\r\n\r\n`, 426,
     /^Sec-WebSocket-Version: 13\r\nUpgrade: websocket\r\nConnection: Upgrade/m],
    [`POST${ws.slice(3)}${shake}Sec-WebSocket-Version: 13\r\n\r\n`, 405,
     /^Allow: GET, OPTIONS\r$/m],
    ['GET /v1/poll HTTP/1.1\r\nHost: x\r\n\r\n', 401,
     /^WWW-Authenticate: Bearer\r$/m],
  ];

  for (const [bytes, status, field] of wrong) {
    const { text } = await raw(server.port, bytes, { until: '"error"' });
    assert.ok(text.startsWith(`HTTP/1.1 ${status} `), text);
    assert.match(text, dated);
    assert.match(text, field);
  }
  // whoever is still leaving would make room for one more
  await eventually(async () => await server.metric('rung_connections') <= 1,
                   'those have gone');
  const crowd = Array.from({ length: 8 }, () =>
    net.connect(server.port, '127.0.0.1').on('error', () => {}));
  await Promise.all(crowd.map((socket) =>
    new Promise((resolve) => socket.on('connect', resolve))));
  const { text } = await raw(server.port, '');
  crowd.forEach((socket) => socket.destroy());
  assert.match(text, /^HTTP\/1\.1 503 /);
  assert.match(text, dated);
  assert.match(text, /^Retry-After: 5\r$/m);
});

scenario('a preflight tells a listed origin what it may do', withFriend,
         async (scene) => {
  for (const target of ['/v1/message.send', '/v1/sse', '/v1/longpoll',
                        '/v1/poll']) {
    const preflight = (origin) => scene.server.get(target, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
    const { status, headers } = await preflight(friend);
    assert.ok([200, 204].includes(status), `${target}: ${status}`);
    assert.equal(headers['access-control-allow-origin'], friend);
    assert.match(headers['access-control-allow-headers'], /authorization/i);
    assert.match(headers['access-control-allow-headers'], /content-type/i);
    assert.match(headers['access-control-allow-methods'],
                 target === '/v1/message.send' ? /POST/ : /GET/);
    assert.match(headers.vary, /origin/i);
    const refused = await preflight('https://evil.example');
    assert.equal(refused.headers['access-control-allow-origin'], undefined);
  }
});

story('HTTP/1.0 is answered and closed, without chunks',
      { over: answers }, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'the-text');
  const { text, closed } = await raw(
    scene.server.port,
    `GET /v1/${scene.transport}?cursor=0&callback=f` +
    `&access_token=${bob.token} ` +
    'HTTP/1.0\r\n\r\n',
    streams.includes(scene.transport) ? { until: 'the-text' } : {});
  assert.match(text, /^HTTP\/1\.[01] 200 /);
  assert.match(text, /the-text/);
  assert.doesNotMatch(text, /transfer-encoding: chunked/i);
  assert.equal(closed, !streams.includes(scene.transport));
});

scenario('HTTP/1.0 can post a message', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const body = JSON.stringify({ to: bob.name, body: { text: 'old' } });
  const { text, closed } = await raw(
    scene.server.port,
    'POST /v1/message.send HTTP/1.0\r\n' +
    `Authorization: Bearer ${alice.token}\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`);

  assert.match(text, /^HTTP\/1\.[01] 200 /);
  assert.ok(closed);
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 1);
});

story('Connection: close is honoured', { over: ['longpoll', 'poll'] },
      async (scene) => {
  const bob = await scene.person('bob');
  const { text, closed } = await raw(
    scene.server.port,
    `GET /v1/${scene.transport}?wait=0&access_token=${bob.token} HTTP/1.1\r\n` +
    'Host: localhost\r\nConnection: close\r\n\r\n');

  assert.match(text, /^HTTP\/1\.1 200 /);
  assert.ok(closed);
});

scenario('two requests in one packet are both answered, in order',
         async (scene) => {
  const bob = await scene.person('bob');
  const ask = (limit, connection) =>
    `GET /v1/poll?access_token=${bob.token}&limit=${limit} HTTP/1.1\r\n` +
    `Host: localhost\r\nConnection: ${connection}\r\n\r\n`;
  const { text } = await raw(scene.server.port,
                             ask(5, 'keep-alive') + ask('x', 'close'));

  assert.deepEqual(text.match(/HTTP\/1\.1 \d+/g),
                   ['HTTP/1.1 200', 'HTTP/1.1 400']);
});

story('HEAD answers as GET would, without a body and without parking',
      { over: answers }, async (scene) => {
  const bob = await scene.person('bob');
  const { text } = await raw(
    scene.server.port,
    `HEAD /v1/${scene.transport}?cursor=${await bob.now()}&callback=f` +
    `&access_token=${bob.token} HTTP/1.1\r\n` +
    'Host: localhost\r\nConnection: close\r\n\r\n');
  const [head, body] = text.split('\r\n\r\n');

  assert.match(head, /^HTTP\/1\.1 200 /);
  const type = types[scene.transport] ?? 'application/json';
  assert.ok(head.toLowerCase().includes(`content-type: ${type}`), head);
  assert.equal(body, '');
});

story('OPTIONS and other methods are told what is allowed', {
  over: overHttp,
}, async (scene) => {
  const bob = await scene.person('bob');
  const target = `/v1/${scene.transport}`;
  const headers = { authorization: `Bearer ${bob.token}` };

  const options = await scene.server.get(target,
                                         { method: 'OPTIONS', headers });
  assert.ok([200, 204].includes(options.status), String(options.status));
  assert.match(options.headers.allow, /GET/);
  for (const method of ['DELETE', 'PUT', 'POST']) {
    const { status, headers: { allow }, json } =
      await scene.server.get(target, { method, headers });
    assert.equal(status, 405, method);
    assert.match(allow, /GET/);
    assert.equal(json.error.code, 'method_not_allowed');
  }
});

scenario('a method is posted, nothing else', async (scene) => {
  const bob = await scene.person('bob');
  const headers = { authorization: `Bearer ${bob.token}` };

  for (const method of ['GET', 'DELETE']) {
    const { status, headers: { allow }, json } =
      await scene.server.get('/v1/message.send', { method, headers });
    assert.equal(status, 405, method);
    assert.match(allow, /POST/);
    assert.equal(json.error.code, 'method_not_allowed');
  }
});

scenario('what is not there is not_found', async (scene) => {
  const bob = await scene.person('bob');

  for (const target of ['/v1/nothing.here', '/v2/poll', '/nothing']) {
    const { status } = await scene.server.get(target, {
      headers: { authorization: `Bearer ${bob.token}` },
    });
    assert.equal(status, 404, target);
  }
  await assert.rejects(bob.call('message.sned', {}), (error) => {
    assert.equal(error.code, 'not_found');
    assert.match(error.text, /message\.sned/);
    return true;
  });
});

story('a wrong parameter is named, with what is accepted', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.send(bob, 'hi');
  const wrong = [
    ['cursor', { cursor: 'banana' }],
    ['cursor', { cursor: '1234-5' }],
    ['limit', { query: { limit: 'many' } }],
    ['limit', { query: { limit: '0' } }],
    ['device', { query: { device: 'no spaces' } }],
    ['conversation', { conversation: 'nonsense', after: 0 }, 404],
    ['after', { query: { conversation, after: '-1' } }],
    ['after', { query: { after: '1' } }],
    ...(scene.transport === 'longpoll' ? [['wait', { wait: 'long' }],
                                          ['wait', { wait: 61 }]] : []),
  ];

  for (const [name, options, code = 400] of wrong) {
    const follower = await bob.follow(scene.transport,
                                      { patient: false, ...options });
    const end = await follower.ending();
    const said = end.status === undefined ? end.reason : end.error.message;
    if (end.status !== undefined) {
      assert.equal(end.status, code, `${name}: ${JSON.stringify(options)}`);
      assert.equal(end.error.code, code === 404 ? 'not_found' : 'bad_request');
    }
    assert.match(said, new RegExp(name), JSON.stringify(options));
  }
});

scenario('a wrong parameter of a method is named', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = (await alice.send(bob, 'hi')).conversation;
  const wrong = [
    ['message.send', { body: { text: 'x' } }, /\bto\b|conversation/],
    ['message.send', { to: 'no spaces', body: {} }, /\bto\b/],
    ['message.send', { to: 7, body: {} }, /\bto\b/],
    ['message.send', { to: bob.name }, /body/],
    ['message.send', { to: bob.name, body: {}, client_msg_id: '' },
     /client_msg_id/],
    ['message.send', { to: bob.name, body: {}, client_msg_id: 'x'.repeat(65) },
     /client_msg_id/],
    ['message.send', { to: bob.name, body: {}, echo: 'no' }, /echo/],
    ['message.history', {}, /conversation/],
    ['message.history', { conversation, limit: 201 }, /limit/],
    ['message.history', { conversation, after: 1, before: 2 }, /after|before/],
    ['message.history', { conversation, after: 'x' }, /after/],
    ['message.read', { conversation }, /seq/],
    ['message.read', { conversation, seq: -1 }, /seq/],
    ['message.ack', {}, /cursor/],
    ['message.ack', { cursor: 'banana' }, /cursor/],
    ['conversation.create', {}, /type/],
    ['conversation.create', { type: 'party' }, /type/],
    ['conversation.create', { type: 'group', members: 'bob' }, /members/],
    ['conversation.create', { type: 'group', id: 'a b' }, /\bid\b/],
    ['conversation.invite', { conversation: '0:2:x' }, /users?|conversation/],
    ['conversation.list', { limit: 'x' }, /limit/],
  ];

  for (const [method, params, named] of wrong)
    await assert.rejects(alice.call(method, params), (error) => {
      const what = `${method} ${JSON.stringify(params)}`;
      assert.equal(error.code, 'bad_request', `${what}: ${error.message}`);
      assert.equal(error.status, 400, what);
      assert.match(error.text, named, what);
      return true;
    }, `${method} ${JSON.stringify(params)}`);
});

scenario('a body that is no JSON object is refused with why', async (scene) => {
  const alice = await scene.person('alice');
  const post = (body) => scene.server.get('/v1/message.send', {
    method: 'POST', body, headers: { authorization: `Bearer ${alice.token}` },
  });

  for (const body of ['{', '[]', '7', '"x"', '{"to":"a","to":"b"}',
                      '{"to":"\\u0000"}', '['.repeat(500),
                      Buffer.from('{"to":"\xff"}', 'latin1')]) {
    const { status, json } = await post(body);
    assert.equal(status, 400, String(body).slice(0, 40));
    assert.equal(json.error.code, 'bad_request');
    assert.ok(json.error.message.length > 0);
  }
});

scenario('a bad head is refused and the connection closed', async (scene) => {
  const { port } = scene.server;
  const heads = {
    'no Host': 'GET /v1/poll HTTP/1.1\r\n\r\n',
    'two lengths': 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
      'Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    'length and chunks': 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'space before the colon': 'GET /v1/poll HTTP/1.1\r\nHost : x\r\n\r\n',
    'an unknown coding': 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
      'Transfer-Encoding: blowfish\r\n\r\n',
    'not HTTP': 'HELO mail.example\r\n\r\n',
  };

  for (const [what, head] of Object.entries(heads)) {
    const { text, closed } = await raw(port, head);
    assert.match(text, /^HTTP\/1\.[01] (4\d\d|501) /, what);
    assert.ok(closed, what);
  }
  assert.equal((await scene.server.get('/healthz')).status, 200);
});

scenario('/metrics is Prometheus text and /healthz is well', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'hi');
  const { status, headers, text } = await scene.server.get('/metrics');
  assert.equal(status, 200);
  assert.match(headers['content-type'], /^text\/plain/);
  assert.ok(await scene.server.metric('rung_appends_total') >= 1);
  for (const line of text.trimEnd().split('\n'))
    assert.match(line, /^(# .+|[a-z_][a-z0-9_]*(\{.*\})? [-+.0-9eE]+)$/);
  assert.equal((await scene.server.get('/healthz')).status, 200);
});

scenario('neither bodies nor tokens are in the logs', {
  env: { RUNG_LOG_LEVEL: 'debug', RUNG_LOG_FORMAT: 'json' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  await alice.send(bob, 'a-most-private-text');
  const follower = await scene.follow('ws', {
    query: { access_token: bob.token },
  });
  await scene.server.get(`/v1/poll?access_token=${bob.token}`);
  await follower.close();
  await scene.server.stop();
  assert.ok(!scene.server.stderr.includes('a-most-private-text'));
  assert.ok(!scene.server.stderr.includes(bob.token));
  for (const line of scene.server.stderr.trim().split('\n'))
    assert.doesNotThrow(() => JSON.parse(line || '{}'), line);
});
