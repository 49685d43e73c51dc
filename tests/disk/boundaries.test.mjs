// kill -9 at every write boundary: one story that makes the server write and
// sync n times is told 3 n times, the server being killed before, within and
// after each of them. Whatever was answered is there; what was not is there
// once when it has been asked again; and the log passes its check.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import test from 'node:test';
import { Disk } from '../lib/disk.mjs';
import { instrumented, rung, temporaryFolder } from '../lib/server.mjs';
import { ms, within } from '../lib/wait.mjs';

const moments = ['before', 'within', 'after'];

/** What is asked, in order: method, parameters, and what tells it apart. */
const deeds = [
  ['message.send', { to: 'bob', client_msg_id: 'a', body: 1 }],
  ['conversation.create', { type: 'group', id: 'team', members: ['bob'] }],
  ['message.send', { conversation: '0:2:team', client_msg_id: 'b', body: 2 }],
  ['conversation.invite', { conversation: '0:2:team', user: 'carol' }],
  ['message.read', { conversation: '0:2:team', seq: 2 }],
  ['message.send', { conversation: '0:2:team', client_msg_id: 'c',
                     body: 'x'.repeat(9000) }],
];

/** Ask until the server is gone; how many were answered. */
async function play(server, token) {
  const answers = [];
  for (const [method, params] of deeds) {
    try {
      answers.push(await server.call(method, params, { token }));
    } catch (error) {
      if (error.status !== undefined)
        throw error;
      return answers;
    }
  }
  return answers;
}

/** An honest client asks again; of a group, that it is there is an answer. */
async function ask(server, token, [method, params]) {
  try {
    return await server.call(method, params, { token });
  } catch (error) {
    if (method === 'conversation.create' && error.code === 'conflict')
      return undefined;
    throw error;
  }
}

async function messages(server, token, conversation) {
  const { messages: found } = await server.call(
    'message.history', { conversation }, { token });
  assert.deepEqual(found.map(({ seq }) => seq), found.map((_, i) => i + 1),
                   'seq has no gap');
  return found;
}

/** After the restart: all of it is there, once, and where it was said to be. */
async function look(server, token, answers) {
  for (const deed of deeds.slice(answers.length))
    await ask(server, token, deed);
  const pair = await messages(server, token, '0:1:alice:bob');
  const team = await messages(server, token, '0:2:team');
  assert.deepEqual(pair.map(({ client_msg_id: id }) => id), ['a']);
  assert.deepEqual(team.map(({ client_msg_id: id, change }) => id ?? change),
                   ['created', 'b', 'invited', 'c']);
  for (const [i, { cursor }] of answers.entries())
    if (deeds[i][0] === 'message.send')
      assert.equal([...pair, ...team].find(({ client_msg_id: id }) =>
        id === deeds[i][1].client_msg_id).cursor, cursor);
}

async function checked(dir) {
  const { code, stdout, stderr } = await rung(['check', '--data', dir]);
  assert.equal(code, 0, stdout + stderr);
}

/** Tell the story with a kill at one moment; false: it ended before that. */
async function killAt(nth, moment) {
  const disk = await Disk.create();
  const server = await disk.serve();
  try {
    const token = await server.login('alice');
    await disk.will(`kill-${moment}`, { nth });
    const answers = await play(server, token);
    if (answers.length === deeds.length)
      return false;
    await within(5000, server.ended, 'the server is dead');
    await checked(server.dir);
    await disk.heal();
    await server.start();
    await look(server, token, answers);
    return true;
  } finally {
    await disk.heal();
    await server.finish();
  }
}

for (const moment of moments) {
  test(`killed ${moment} each write and sync`, {
    timeout: ms(300000), skip: instrumented,
  }, async (t) => {
    let nth = 1;
    while (await killAt(nth, moment))
      nth++;
    t.diagnostic(`${nth - 1} boundaries`);
    assert.ok(nth > 15, `only ${nth - 1} boundaries`);
  });
}

/** Start on an empty directory with a kill ahead; false: it serves. */
async function killMaking(nth) {
  const disk = await Disk.create();
  const dir = await temporaryFolder();
  try {
    await disk.will(`kill-${moments[nth % 3]}`, { nth });
    const first = await disk.serve({ dir }).catch(() => undefined);
    await disk.heal();
    if (first) {
      await first.finish();
      return false;
    }
    const server = await disk.serve({ dir });
    const token = await server.login('alice');
    await look(server, token, await play(server, token));
    await server.finish();
    await checked(dir);
    return true;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

test('killed at each write while a store is made', {
  timeout: ms(60000), skip: instrumented,
}, async (t) => {
  let nth = 1;
  while (await killMaking(nth))
    nth++;
  t.diagnostic(`${nth - 1} boundaries`);
  assert.ok(nth > 3, `only ${nth - 1} boundaries`);
});
