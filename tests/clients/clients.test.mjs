// The clients that docs/CLIENTS.md shows, each against a server that is killed,
// a network that loses answers, and everything the server may say.

import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, test } from 'node:test';
import { Server, temporaryFolder } from '../lib/server.mjs';
import { p2p } from '../lib/story.mjs';
import { eventually, ms, within } from '../lib/wait.mjs';
import { answers, Client, escaped, halved, languages, lost, Mishaps, missing }
  from './given.mjs';

const nasty = [
  'plain', '', ' blanks around ', '"quotes" and \'single\'', 'back\\slash',
  '\\n is not a line\'s end', 'ends with a backslash\\', 'two\nlines',
  'a\ttab', 'dos\r\nline', 'Grüße, 你好, שלום', '😀👩‍👩‍👧', '\u2028\u2029\u0085',
  '\u0001\u001b\u007f', '<script>&amp;</script>', '$(date) `date` $HOME %s %n',
  '{"text":"json"}', '\\u0041 \\x41', 'x'.repeat(5000), '#!/last 20',
];
const lsn = (cursor) => Number(cursor.split('-')[1]);

/** What a client shows of a conversation, by the server's own account. */
async function shown(server, token, conversation, after = 0) {
  const { messages } = await server.call('message.history',
    { conversation, after, limit: 200 }, { token });
  return messages.map(({ seq, from, body }) =>
    `${seq}\t${from}\t${escaped(body.text)}`);
}

/** A server, and clients of one language that end with the test. */
async function stage(language, tell) {
  const folder = await temporaryFolder('rung-clients-');
  const clients = [];
  const server = await Server.start({
    env: { RUNG_BYE_SPREAD_MS: '200', RUNG_RETENTION_INTERVAL_MS: '50' },
  });
  try {
    await mkdir(path.join(folder, 'bin'));
    const command = language.command(path.join(folder, 'bin'));
    await tell({
      server,
      file: (name) => path.join(folder, name),
      start(who, name = who, url = server.url) {
        const client = new Client(command, url, who, path.join(folder, name));
        clients.push(client);
        return client;
      },
    });
  } finally {
    for (const client of clients)
      client.signal('SIGKILL');
    await server.finish();
    await rm(folder, { recursive: true, force: true });
  }
}

async function talkThroughKills({ server, start }) {
  const alice = start('alice');
  const bob = start('bob');
  const type = (texts) => {
    alice.type(...texts.map((text) => ['bob', text]));
    bob.type(...texts.map((text) => ['alice', text]));
  };
  type(nasty.slice(0, 10));
  await alice.printed(5);
  await server.kill();
  type(nasty.slice(10)); // while nobody is there
  await server.start();
  await alice.printed(40);
  await bob.printed(40);

  const token = await server.login('alice');
  const conversation = p2p('alice', 'bob');
  const all = await shown(server, token, conversation);
  assert.equal(all.length, 40);
  assert.deepEqual(alice.lines, all);
  assert.deepEqual(bob.lines, all);
  for (const who of ['alice', 'bob'])
    assert.deepEqual(all.map((line) => line.split('\t')).filter(([, from]) =>
      from === who).map(([,, text]) => text), nasty.map(escaped));

  const { messages } = await server.call('message.history',
    { conversation, limit: 1 }, { token });
  await alice.saved((cursor) => lsn(cursor) >= lsn(messages[0].cursor));
  await alice.kill();
  bob.type(['alice', 'while you were away']);
  await bob.printed(41);

  const again = start('alice');
  await again.printed(1);
  again.type(['bob', 'I am back']);
  again.endOfInput();
  await again.printed(2);
  bob.type(['alice', 'still there?']);
  await again.printed(3);
  await bob.printed(43);
  assert.deepEqual(again.lines, await shown(server, token, conversation, 40));
  assert.deepEqual(again.lines, bob.lines.slice(40));
  await again.stop();
  await bob.stop();
}

async function sendsUntilAnswered({ server, start }) {
  const proxy = await Mishaps.open(server.url, {
    '/v1/message.send': [
      lost,
      answers(429, '{"error":{"code":"overloaded","retry_after_ms":20}}'),
      halved,
      undefined,
      answers(503, '<html>down</html>'),
      answers(200, '<html>log in to the WLAN</html>'),
    ],
    '/v1/longpoll': [halved, answers(502, '')],
  });
  try {
    const alice = start('alice', 'alice', proxy.url);
    alice.type(['bob', 'first é 你好'], ['bob', '"second" 😀\n']);
    await alice.printed(2);
    const token = await server.login('alice');
    assert.deepEqual(alice.lines,
                     await shown(server, token, p2p('alice', 'bob')));
    const sent = proxy.to('/v1/message.send').map(({ body }) => body);
    assert.equal(sent.length, 7);
    assert.equal(new Set(sent.slice(0, 4)).size, 1, 'the same id each time');
    assert.equal(new Set(sent.slice(4)).size, 1, 'the same id each time');
    assert.match(proxy.to('/v1/message.send')[3].answer, /"duplicate": true/);
    const polls = proxy.to('/v1/longpoll').map(({ url }) => url);
    assert.equal(new Set(polls.slice(0, 3)).size, 1, 'the same cursor again');
    await alice.kill();
  } finally {
    proxy.close();
  }
}

async function takesWhatItIsTold({ server, start, file }) {
  const token = await server.login('root');
  const { conversation } = await server.call('conversation.create', {
    type: 'group', members: ['alice'],
    settings: { history: 'all', retention: { max_count: 2 } },
  }, { token });
  const say = (more) =>
    server.call('message.send', { conversation, ...more }, { token });
  const { cursor } = await say({ body: { text: 'one' } });
  for (const text of ['two', 'three', 'four'])
    await say({ body: { text } });
  await say({ type: 'image', body: ['no text'] });
  await eventually(async () => (await server.call('message.history',
    { conversation }, { token })).first_seq === 5, 'retention has done its work');

  await writeFile(file('alice'), `${cursor}\n`);
  const alice = start('alice');
  await alice.said(/gap/);
  await alice.printed(2);
  assert.deepEqual(alice.lines, ['5\troot\tfour', '6\troot\t[image]']);

  alice.type(['!not a user!', 'refused'], ['root', 'taken']);
  await alice.printed(3);
  assert.match(alice.stderr, /refused.*bad_request/);
  assert.equal(alice.lines[2], '1\talice\ttaken');

  // A receipt may end the poll at the very moment: then once more.
  await eventually(async () => {
    await eventually(async () =>
      await server.metric('rung_carriers', 'longpoll') === 1, 'a poll is parked');
    await server.restart();
    return /bye/.test(alice.stderr);
  }, 'the client hears a bye', 60000);
  alice.type(['root', 'after the bye']);
  await alice.printed(4);
  await alice.stop();

  await writeFile(file('elsewhere'), 'deadbeef-7\n');
  const lostOne = start(await server.login('alice'), 'elsewhere');
  await lostOne.said(/reset/);
  await lostOne.saved((cursor) => !cursor.startsWith('deadbeef'));
  lostOne.type(['root', 'after the reset']);
  await lostOne.printed(1);
  assert.equal(lostOne.lines[0], '3\talice\tafter the reset');
  await lostOne.stop();

  const stranger = start('eyJhbGciOiJIUzI1NiJ9.e30.forged', 'stranger');
  stranger.type(['root', 'let me in'], ['root', 'please']);
  const { code } = await within(20000, stranger.exited, 'it gives up');
  assert.notEqual(code, 0);
  assert.match(stranger.stderr, /refused.*unauthorized/);
}

describe('the clients on a page', { concurrency: 2 }, () => {
  for (const language of languages) {
    const skip = missing(language);
    const tells = (what, story) => test(`${language.name}: ${what}`,
      { skip, timeout: ms(180000) }, () => stage(language, story));

    tells('two talk through a kill -9, each line once and in order',
          talkThroughKills);
    tells('a message is sent under one id until there is an answer',
          sendsUntilAnswered);
    tells('gap, reset, bye and refusals are taken as meant', takesWhatItIsTold);
  }
});
