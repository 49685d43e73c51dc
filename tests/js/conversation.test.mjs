// What the demo page keeps of one conversation: an unbroken stretch of its chain,
// unread counts, ticks, messages on their way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Conversation, pairId, peerOf } from '../../web/app/conversation.js';
import { changeOf, joinNames } from '../../web/app/words.js';

const says = (from, seq, more = {}) => ({ event: 'message', conversation: '0:1:alice:bob', from, seq, ts: seq, body: { text: `t${seq}` }, ...more });
const seqs = ({ entries }) => entries.map(({ seq }) => seq);

function loaded(...messages) {
  const conversation = new Conversation('0:1:alice:bob', 'alice');
  conversation.describe({ last_seq: messages.at(-1)?.seq ?? 0, read_seq: messages.at(-1)?.seq ?? 0 });
  conversation.addHistory({ messages, more: false }, 'newest');
  return conversation;
}

test('two people have one id, from either side', () => {
  assert.equal(pairId('bob', 'alice'), '0:1:alice:bob');
  assert.equal(pairId('12345', '12333'), '0:1:12333:12345');
  assert.equal(pairId('9', '10'), '0:1:9:10');
  assert.equal(pairId('9', '10a'), '0:1:10a:9');
  assert.equal(peerOf('0:1:alice:bob', 'bob'), 'alice');
});

test('live messages join the stretch; what is twice is once', () => {
  const conversation = loaded(says('bob', 1));
  conversation.addLive(says('bob', 2));
  conversation.addLive(says('bob', 2));
  assert.deepEqual(seqs(conversation), [1, 2]);
  assert.equal(conversation.unread, 1);
});

test('a hole is seen, and filled by history', () => {
  const conversation = loaded(says('bob', 1));
  conversation.addLive(says('bob', 4));
  assert.deepEqual(seqs(conversation), [1]);
  assert.ok(conversation.hasHole);
  conversation.addHistory({ messages: [2, 3, 4].map((seq) => says('bob', seq)), more: false }, 'newer');
  assert.deepEqual(seqs(conversation), [1, 2, 3, 4]);
  assert.ok(!conversation.hasHole);
});

test('the list does not set back what the stream already said', () => {
  const conversation = loaded(says('bob', 1));
  conversation.addLive(says('bob', 2));
  conversation.describe({ last_seq: 1, unread: 0, name: 'n' });
  assert.deepEqual([conversation.lastSeq, conversation.unread, conversation.name], [2, 1, 'n']);
});

test('reading, here or on another device, takes the count down', () => {
  const conversation = loaded(says('bob', 1));
  for (const seq of [2, 3, 4]) conversation.addLive(says('bob', seq));
  conversation.addReceipt({ user: 'alice', kind: 'read', seq: 3 });
  assert.equal(conversation.unread, 1);
  conversation.readUpTo(4);
  assert.equal(conversation.unread, 0);
});

test('ticks follow the receipts, never back', () => {
  const conversation = loaded(says('alice', 1));
  assert.equal(conversation.stateOf(1).state, 'stored');
  conversation.addReceipt({ user: 'bob', kind: 'delivered', seq: 1 });
  assert.equal(conversation.stateOf(1).state, 'delivered');
  conversation.addReceipt({ user: 'bob', kind: 'read', seq: 1 });
  conversation.addReceipt({ user: 'bob', kind: 'delivered', seq: 1 });
  assert.equal(conversation.stateOf(1).state, 'read');
});

test('in a group a tick needs everybody', () => {
  const group = new Conversation('0:2:g', 'alice');
  group.describe({ last_seq: 1, members: [{ user: 'alice' }, { user: 'bob' }, { user: 'carol', read_seq: 1 }] });
  assert.deepEqual(group.stateOf(1), { state: 'stored', read: 1, delivered: 1, others: 2 });
  group.addReceipt({ user: 'bob', kind: 'read', seq: 1 });
  assert.equal(group.stateOf(1).state, 'read');
});

test('a message on its way becomes stored, then the entry, whichever is told first', () => {
  const answerFirst = loaded(says('bob', 1));
  answerFirst.addOutgoing({ client_msg_id: 'x', body: {} }, 5);
  answerFirst.addOutgoing({ client_msg_id: 'y', body: {} }, 6);
  answerFirst.stored({ client_msg_id: 'y', seq: 3 });
  assert.deepEqual(answerFirst.tail.map(({ params, state }) => [params.client_msg_id, state]), [['y', 'stored'], ['x', 'pending']]);

  const streamFirst = loaded(says('bob', 1));
  streamFirst.addOutgoing({ client_msg_id: 'x', body: {} }, 5);
  streamFirst.addLive(says('alice', 2, { client_msg_id: 'x' }));
  streamFirst.stored({ client_msg_id: 'x', seq: 2 });
  assert.deepEqual(streamFirst.tail, []);
  assert.deepEqual(seqs(streamFirst), [1, 2]);
});

test('members come and go with the entries', () => {
  const group = new Conversation('0:2:g', 'alice');
  group.describe({ last_seq: 1, members: [{ user: 'alice', role: 'owner' }, { user: 'bob', role: 'member' }] });
  const change = (seq, what, user) => group.addLive({ event: 'conversation', seq, change: what, users: [user], by: user });
  change(2, 'invited', 'carol');
  change(3, 'left', 'bob');
  assert.deepEqual(group.members.map(({ user }) => user), ['alice', 'carol']);
  change(4, 'left', 'alice');
  assert.ok(group.left);
});

test('changes are told as sentences', () => {
  assert.equal(changeOf({ change: 'invited', by: 'bob', users: ['alice', 'carol', 'dave'] }, 'alice'), 'bob added you, carol and dave');
  assert.equal(changeOf({ change: 'left', by: 'alice', users: ['alice'] }, 'alice'), 'You left');
  assert.equal(changeOf({ change: 'created', by: 'alice', users: ['alice'] }, 'alice'), 'You created the conversation');
  assert.equal(changeOf({ change: 'created', by: 'bob', users: ['bob', 'alice'] }, 'alice'), 'bob created the conversation with you');
  assert.equal(joinNames([], 'x'), '');
});
