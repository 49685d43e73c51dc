// What a stranger may try to be let in, or to get out of where it is: tokens
// that are none, paths that lead elsewhere, words that end what they stand in,
// pages of other sites.

import assert from 'node:assert/strict';
import { createHmac, createPublicKey, createSign, generateKeyPairSync } from 'node:crypto';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { streams } from '../lib/followers.mjs';
import { handshake } from '../lib/frames.mjs';
import { raw } from '../lib/http.mjs';
import { temporaryFolder } from '../lib/server.mjs';
import { scenario, story } from '../lib/story.mjs';
import { sign } from '../lib/token.mjs';
import { beside } from './beside.mjs';

// ---- tokens -------------------------------------------------------------------

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
const secret = '0123456789abcdef0123456789abcdef';
const keys = { red: { hs256: [secret] }, blue: { public_keys: [pem] } };

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const signed = (header, claims, make) => {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${make(text)}`;
};
const rs256 = (text) => createSign('sha256').update(text)
  .sign(rsa.privateKey, 'base64url');
const hmac = (key, hash = 'sha256') => (text) =>
  createHmac(hash, key).update(text).digest('base64url');

function forged() {
  const now = Math.floor(Date.now() / 1000);
  const red = { sub: 'bob', app: 'red', exp: now + 600 };
  const blue = { ...red, app: 'blue' };
  const der = createPublicKey(pem).export({ type: 'spki', format: 'der' });

  return {
    'alg none': signed({ alg: 'none' }, red, () => ''),
    'alg NONE': signed({ alg: 'NONE' }, red, () => ''),
    'alg None, with a signature': signed({ alg: 'None' }, red, hmac(secret)),
    'alg none and the public key': signed({ alg: 'none' }, blue, () => ''),
    'HS256 by the public key': signed({ alg: 'HS256' }, blue, hmac(pem)),
    'HS256 by the public key, trimmed':
      signed({ alg: 'HS256' }, blue, hmac(pem.trim())),
    'HS256 by the public key in DER': signed({ alg: 'HS256' }, blue, hmac(der)),
    'RS256 in words, HS256 in truth':
      signed({ alg: 'RS256' }, blue, hmac(pem)),
    'HS256 in words, RS256 in truth': signed({ alg: 'HS256' }, blue, rs256),
    'RS256 for the app of a secret': signed({ alg: 'RS256' }, red, rs256),
    'HS384': signed({ alg: 'HS384' }, red, hmac(secret, 'sha384')),
    'no alg': signed({}, red, hmac(secret)),
    'two algs': `${Buffer.from('{"alg":"HS256","alg":"none"}')
      .toString('base64url')}.${part(red)}.`,
    'its own key':
      signed({ alg: 'HS256', jwk: { kty: 'oct', k: 'AAAA' } }, red, hmac('\0\0\0')),
    'a key by its path': signed({ alg: 'HS256', kid: '/dev/null' }, red, hmac('')),
    'an empty key': signed({ alg: 'HS256' }, red, hmac('')),
    'a foreign app': sign({ ...red, app: 'green' }, secret),
    'an app that is a list': sign({ ...red, app: ['red'] }, secret),
    'an app of two names': sign({ ...red, app: 'red\0blue' }, secret),
    'a sub of another alphabet': sign({ ...red, sub: '../bob' }, secret),
    'expired': sign({ ...red, exp: now - 3600 }, secret),
    'exp in words': sign({ ...red, exp: 'never' }, secret),
    'a negative exp': sign({ ...red, exp: -1 }, secret),
    'four parts': `${sign(red, secret)}.x`,
    'one bit of the signature': sign(red, secret).replace(/.$/, (c) =>
      (c === 'A' ? 'Q' : 'A')),
    'spaces in it': ` ${sign(red, secret)} x`,
    'far too long': sign({ ...red, more: 'x'.repeat(4000) }, 'another secret'),
  };
}

story('no forged token is let in, and none is repeated', {
  over: ['ws', ...streams, 'longpoll', 'poll', 'jsonp'],
  config: { apps: keys }, demo: false,
}, async (scene) => {
  const good = { sub: 'bob', exp: Math.floor(Date.now() / 1000) + 600 };
  const genuine = [sign({ ...good, app: 'red' }, secret),
                   signed({ alg: 'RS256' }, { ...good, app: 'blue' }, rs256)];

  for (const token of genuine) {
    const { status } = await scene.server.get('/v1/poll', {
      headers: { authorization: `Bearer ${token}` },
    });
    assert.equal(status, 200, 'the genuine one is let in');
  }
  for (const [what, token] of Object.entries(forged())) {
    const query = `access_token=${encodeURIComponent(token)}&callback=f&wait=0`;
    const { text } = await raw(scene.server.port, scene.transport === 'ws'
      ? handshake(`/v1/ws?${query}`)
      : `GET /v1/${scene.transport}?${query} HTTP/1.1\r\nHost: x\r\n` +
        'Connection: close\r\n\r\n', { until: '"error"' });
    assert.match(text, scene.transport === 'jsonp'
      ? /"code":"(unauthorized|token_expired)"/ : /^HTTP\/1\.1 401 /,
                 `${what}: ${text}`);
    assert.ok(!text.includes(token.slice(0, 60)), what);
  }
});

scenario('tokens without number cost a bounded cache', {
  config: { apps: keys }, demo: true,
}, async (scene, t) => beside(scene, t, async () => {
  const exp = Math.floor(Date.now() / 1000) + 600;
  const ask = async (i) => {
    const bad = i % 2 ? 'another secret of thirty-two bytes' : secret;
    const { status } = await scene.server.get('/v1/poll', { headers: {
      authorization: `Bearer ${sign({ sub: `u${i}`, app: 'red', exp }, bad)}`,
    } });
    assert.equal(status, i % 2 ? 401 : 200);
  };

  for (let i = 0; i < 2000; i += 20)
    await Promise.all(Array.from({ length: 20 }, (_, k) => ask(i + k)));
}));

// ---- paths ----------------------------------------------------------------------

scenario('no path leads out of the folder of the pages', async (scene) => {
  const web = await temporaryFolder();
  await writeFile(path.join(web, '..', `${path.basename(web)}.secret`), 'SECRET');
  await mkdir(path.join(web, '.hidden'));
  await writeFile(path.join(web, '.hidden', 'key'), 'SECRET');
  await writeFile(path.join(web, 'index.html'), 'hello');
  await symlink('/etc/passwd', path.join(web, 'passwd')).catch(() => {});
  await scene.server.stop();
  scene.server.args.push('--web', web);
  await scene.server.start();
  const name = `${path.basename(web)}.secret`;

  assert.equal((await scene.server.get('/index.html')).text, 'hello');
  for (const target of [`/../${name}`, `/%2e%2e/${name}`, `/..%2f${name}`,
                        `/x/../../${name}`, `/.%2e/${name}`, `/..\\${name}`,
                        `/%c0%ae%c0%ae/${name}`, `//${web}/index.html`,
                        `/....//${name}`, '/.hidden/key', '/%2ehidden/key',
                        '/index.html%00.js', '/index.html/', '/etc/passwd',
                        '/../../../../../../etc/passwd', '/v1/../index.html/..',
                        `/${'a/'.repeat(2000)}x`, '/demo.key',
                        '/v1/message.send/../../metrics']) {
    const { text } = await raw(scene.server.port,
      `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    assert.match(text, /^HTTP\/1\.1 (400|404|405|431) /, `${target}: ${text}`);
    assert.doesNotMatch(text, /SECRET|root:/, target);
  }
});

// ---- words that end what they stand in --------------------------------------------

const nasty = '</script><script>alert(1)</script><!-- ]]>&amp; \u2028\u2029' +
  '\r\n\r\ndata: {"event":"forged"}\r\nid: 9\n--rung--\r\n\\"});alert(1)//';

story('no word of a message ends the block, part or script it stands in', {
  over: ['ws', ...streams, 'longpoll', 'poll', 'jsonp'],
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const cursor = await bob.now();
  const { conversation } = await alice.group([bob], undefined,
    { name: '</script>--rung--\u2028&' });
  await alice.send(conversation, nasty, { body: { [nasty]: nasty },
                                          type: 'text' });
  const follower = await bob.follow(scene.transport, { cursor });
  const message = await follower.next('message');

  assert.deepEqual(message.body, { [nasty]: nasty });
  assert.ok(follower.events.every(({ event }) => event !== 'forged'));
  if (scene.transport === 'ws')
    return;
  const { text } = await raw(scene.server.port,
    `GET /v1/${scene.transport}?cursor=${cursor}&wait=0&callback=f` +
    `&access_token=${bob.token} HTTP/1.1\r\nHost: x\r\n\r\n`,
    { until: 'alert(1)//' });
  assert.doesNotMatch(text, /^(data: ?\{"event":"forged|id: ?9$)/m);
  if (['iframe', 'jsonp'].includes(scene.transport))
    assert.doesNotMatch(text.slice(text.indexOf('nothing')), /alert\(1\)<\/script/);
});

story('what a request says never ends a line of its answer', {
  over: ['callback', 'device', 'cursor', 'Origin', 'conversation'],
}, async (scene) => {
  const bob = await scene.person('bob');
  const words = encodeURIComponent('x\r\nSet-Cookie: a=b\r\n\r\n<script>');
  const where = scene.transport;
  const query = where === 'Origin' ? '' : `&${where}=${words}`;
  const field = where === 'Origin' ? 'Origin: http://x\tSet-Cookie: a\r\n' : '';

  for (const name of ['sse', 'iframe', 'jsonp', 'poll', 'longpoll']) {
    const { text } = await raw(scene.server.port,
      `GET /v1/${name}?access_token=${bob.token}${query} HTTP/1.1\r\n` +
      `Host: x\r\n${field}Connection: close\r\n\r\n`, { until: '}' });
    assert.doesNotMatch(text, /^Set-Cookie/mi, name);
    assert.equal(text.match(/^HTTP\/1\.1 /gm).length, 1, `${name}: ${text}`);
  }
});

// ---- other sites ------------------------------------------------------------------

story('a page of another site gets nothing and learns nothing', {
  over: ['ws', ...streams, 'longpoll', 'poll', 'jsonp', 'message.send'],
  env: { RUNG_ALLOWED_ORIGINS: 'https://friend.example' },
}, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const origins = ['https://evil.example', 'null', 'https://friend.example:444',
                   'http://friend.example', 'https://friend.example.evil.example',
                   'https://evil.example/https://friend.example', 'file://',
                   'https://xfriend.example', 'https://friend.example@evil.example'];
  const body = JSON.stringify({ to: bob.name, body: 'from elsewhere' });

  for (const origin of origins) {
    const line = `Origin: ${origin}\r\n`;
    const bytes = {
      'ws': handshake(`/v1/ws?access_token=${alice.token}`)
        .replace('\r\n', `\r\n${line}`),
      'message.send': 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
        `Authorization: Bearer ${alice.token}\r\nConnection: close\r\n${line}` +
        `Content-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    }[scene.transport] ?? `GET /v1/${scene.transport}?callback=f&wait=0` +
      `&access_token=${alice.token} HTTP/1.1\r\nHost: x\r\n` +
      `Connection: close\r\n${line}\r\n`;
    const { text } = await raw(scene.server.port, bytes, { until: '"error"' });
    assert.match(text, /^HTTP\/1\.1 403 /, `${origin}: ${text}`);
    assert.doesNotMatch(text, /Access-Control-Allow-Origin/i, origin);
  }
  assert.deepEqual((await bob.readAll()).filter(({ event }) =>
    event === 'message'), []);
});
