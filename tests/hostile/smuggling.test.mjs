// Requests that two readers would cut in different places. None may reach a
// handler, neither the outer one nor what hides in it: not as the first of a
// connection, not later, not in one segment behind a good one, whichever host
// reads it.

import assert from 'node:assert/strict';
import net from 'node:net';
import { p2p, scenario } from '../lib/story.mjs';
import { within } from '../lib/wait.mjs';
import { beside } from './beside.mjs';

const shapes = (victim, { inner, body }) => {
  const line = 'POST /v1/message.send HTTP/1.1\r\n';
  const id = `Authorization: Bearer ${victim.token}\r\n`;
  const post = `${line}Host: x\r\n${id}`;
  const length = `Content-Length: ${body.length}\r\n`;
  const chunked = 'Transfer-Encoding: chunked\r\n';
  const chunk = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;

  return {
    'length, then chunks': `${post}Content-Length: 4\r\n${chunked}\r\n${chunk}`,
    'chunks, then length': `${post}${chunked}Content-Length: 4\r\n\r\n${chunk}`,
    'no end of chunks hides another': `${post}${length}${chunked}\r\n0\r\n\r\n`,
    'two lengths': `${post}Content-Length: 0\r\n${length}\r\n${body}`,
    'one length twice': `${post}${length}${length}\r\n${body}`,
    'a list of lengths':
      `${post}Content-Length: ${body.length}, ${body.length}\r\n\r\n${body}`,
    'a signed length': `${post}Content-Length: +${body.length}\r\n\r\n${body}`,
    'a negative length': `${post}Content-Length: -1\r\n\r\n${body}`,
    'a length in hex': `${post}Content-Length: 0x1\r\n\r\n${body}`,
    'an empty length': `${post}Content-Length:\r\n\r\n${body}`,
    'a length beyond 64 bits':
      `${post}Content-Length: 18446744073709551617\r\n\r\n${body}`,
    'a space before the colon':
      `${post}Content-Length : ${body.length}\r\n\r\n${body}`,
    'a tab before the colon':
      `${post}Transfer-Encoding\t: chunked\r\n\r\n${chunk}`,
    'a folded length': `${post}Content-Length:\r\n ${body.length}\r\n\r\n${body}`,
    'a folded coding': `${post}Transfer-Encoding:\r\n chunked\r\n\r\n${chunk}`,
    'an unknown coding': `${post}Transfer-Encoding: xchunked\r\n\r\n${chunk}`,
    'a coding behind chunked':
      `${post}Transfer-Encoding: chunked, identity\r\n\r\n${chunk}`,
    'a coding before chunked':
      `${post}Transfer-Encoding: gzip, chunked\r\n\r\n${chunk}`,
    'two codings': `${post}${chunked}${chunked}\r\n${chunk}`,
    'a coding with a vertical tab':
      `${post}Transfer-Encoding: \x0bchunked\r\n\r\n${chunk}`,
    'a coding in quotes': `${post}Transfer-Encoding: "chunked"\r\n\r\n${chunk}`,
    'chunks in HTTP/1.0': `${line.replace('1.1', '1.0')}${id}${chunked}\r\n${chunk}`,
    'lines that end in LF': `${post}${length}\r\n${body}`.replace(/\r\n/g, '\n'),
    'one line that ends in LF': `${line}Host: x\n${id}${length}\r\n${body}`,
    'CR alone hides a field': `${line}Host: x\rX: y\r\n${id}${length}\r\n${body}`,
    'NUL in the target': `POST /v1/message.send\0x HTTP/1.1\r\nHost: x\r\n${id}` +
      `${length}\r\n${body}`,
    'NUL in a value': `${post}X: a\0b\r\n${length}\r\n${body}`,
    'no Host': `${line}${id}${length}\r\n${body}`,
    'two Hosts': `${line}Host: x\r\nHost: y\r\n${id}${length}\r\n${body}`,
    'a nameless field': `${post}: x\r\n${length}\r\n${body}`,
    'a field without a colon': `${post}GET /v1/poll HTTP/1.1\r\n${length}\r\n${body}`,
    'two spaces in the line':
      `${line.replace(' /', '  /')}Host: x\r\n${id}${length}\r\n${body}`,
    'HTTP/1.2': `${line.replace('1.1', '1.2')}Host: x\r\n${id}${length}\r\n${body}`,
    'HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'a chunk in signed hex': `${post}${chunked}\r\n+${chunk}`,
    'a chunk in 0x hex': `${post}${chunked}\r\n0x${chunk}`,
    'a chunk beyond 64 bits':
      `${post}${chunked}\r\n10000000000000000${chunk}`,
    'a chunk with a blank behind': `${post}${chunked}\r\n` +
      chunk.replace('\r\n', ' \r\n'),
    'a chunk line that ends in LF': `${post}${chunked}\r\n` +
      chunk.replace('\r\n', '\n'),
    'a chunk that is longer than it says': `${post}${chunked}\r\n` +
      `1\r\n${body}\r\n0\r\n\r\n`,
    'a chunk whose end is LF alone': `${post}${chunked}\r\n` +
      chunk.replace('}\r\n', '}\n'),
  };
};

/** Chunks that libmicrohttpd takes though RFC 9112 does not know them: such a
 * request is answered, and is the last of its connection. */
const lenient = new Set(['a chunk whose end is LF alone',
                         'a chunk line that ends in LF']);

const page = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n';
const poll = (who) => `GET /v1/poll?access_token=${who.token} HTTP/1.1\r\n` +
  'Host: x\r\n\r\n';

/** Where it comes: what was asked before, and whether that is answered first. */
const places = {
  'as the first': ['', false],
  'after a poll': [poll, true],
  'after a page': [() => page, true],
  'behind a poll in one segment': [poll, false],
  'behind a page in one segment': [() => page, false],
  'behind three in one segment': [(who) => poll(who) + page + poll(who), false],
};

/** Everything that comes until the server closes. */
function tell(scene, before, waits, bytes, what) {
  const socket = net.connect({ port: scene.server.port, host: '127.0.0.1' });
  let text = '';
  scene.onClose(() => socket.destroy());
  socket.setEncoding('latin1');
  socket.on('error', () => {});
  socket.write(waits ? before : before + bytes);
  return within(8000, new Promise((resolve) => {
    socket.on('data', (part) => {
      if (waits && !text)
        socket.write(bytes);
      text += part;
    });
    socket.on('close', () => resolve(text));
  }), () => `${what}: the server closes; so far: ${text}`);
}

for (const [place, [before, waits]] of Object.entries(places))
  scenario(`nothing is smuggled ${place}`, {
    env: { RUNG_HEADER_TIMEOUT_MS: '2000', RUNG_BODY_TIMEOUT_MS: '2000' },
  }, async (scene, t) => {
    const [alice, mallory] = await scene.people('alice', 'mallory');
    const body = JSON.stringify({ to: mallory.name, body: 'outer' });
    const hidden = JSON.stringify({ to: mallory.name, body: 'inner' });
    const inner = 'POST /v1/message.send HTTP/1.1\r\nHost: x\r\n' +
      `Authorization: Bearer ${alice.token}\r\n` +
      `Content-Length: ${hidden.length}\r\n\r\n${hidden}`;
    const first = before ? before(alice) : '';
    const good = (first.match(/HTTP\/1\.1\r\n/g) ?? []).length;

    await beside(scene, t, () => Promise.all(
      Object.entries(shapes(alice, { inner, body })).map(
        async ([what, bytes]) => {
          const text = await tell(scene, first, waits, bytes + inner, what);
          const answers = text.match(/HTTP\/1\.1 \d+/g) ?? [];
          assert.deepEqual(answers.slice(0, good),
                           Array(good).fill('HTTP/1.1 200'), `${what}: ${text}`);
          // libmicrohttpd says its own refusals twice (http_host.h)
          for (const answer of answers.slice(good))
            assert.match(answer, lenient.has(what) ? / 200$/ : / (400|413|505)$/,
                         `${what}: ${text}`);
        })));
    const { messages } = await alice.history(p2p(alice, mallory));
    assert.deepEqual(messages.map(({ body }) => body),
                     Array(lenient.size).fill('outer'));
  });
