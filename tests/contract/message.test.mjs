// One message: sent once, kept once, acknowledged, read, found again.

import assert from 'node:assert/strict';
import { clients, duplexes, streams } from '../lib/followers.mjs';
import { Refusal } from '../lib/http.mjs';
import { p2p, scenario, story } from '../lib/story.mjs';

const everyone = { over: clients };
const refusedWith = (...codes) => (error) => {
  assert.ok(error instanceof Refusal, error.stack);
  assert.ok(codes.includes(error.code), error.message);
  return true;
};

scenario('a retry gets the first answer', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const first = await alice.send(bob, 'once', { client_msg_id: 'id-1' });
  await alice.send(bob, 'between');
  const again = await alice.send(bob, 'once', { client_msg_id: 'id-1' });

  assert.deepEqual(again, { ...first, duplicate: true });
  const { messages } = await bob.history(p2p(alice, bob));
  assert.equal(messages.length, 2);
});

scenario('a retry gets the first answer after a restart, too',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const first = await alice.send(bob, 'once', { client_msg_id: 'id-1' });

  await scene.server.restart();
  const again = await alice.send(bob, 'once', { client_msg_id: 'id-1' });
  assert.deepEqual(again, { ...first, duplicate: true });
});

scenario('twenty retries at once are kept once', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const answers = await Promise.all(Array.from({ length: 20 }, () =>
    alice.send(bob, 'once', { client_msg_id: 'id-1' })));

  assert.equal(answers.filter(({ duplicate }) => !duplicate).length, 1);
  assert.equal(new Set(answers.map(({ seq, cursor }) => `${seq} ${cursor}`))
    .size, 1);
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 1);
});

scenario('the same id with another body is a conflict', async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');

  await alice.send(bob, 'one', { client_msg_id: 'id-1' });
  await assert.rejects(alice.send(bob, 'two', { client_msg_id: 'id-1' }),
                       (error) => error.status === 409 &&
                                  error.code === 'conflict');
  await assert.rejects(alice.send(carol, 'one', { client_msg_id: 'id-1' }),
                       refusedWith('conflict'));
  // somebody else's id is another id
  assert.equal((await bob.send(alice, 'two', { client_msg_id: 'id-1' }))
    .duplicate, false);
});

story('a retried message is delivered once', everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const follower = await bob.follow(scene.transport);

  for (let i = 0; i < 3; i++)
    await alice.send(bob, 'once', { client_msg_id: 'id-1' });
  await alice.send(bob, 'last');
  await follower.seen((event) => event.body?.text === 'last');
  assert.deepEqual(follower.texts, ['once', 'last']);
});

scenario('ids of two people are put in order', async (scene) => {
  const a = await scene.named('12345');
  const b = await scene.named('12333');
  const c = await scene.named('999');

  assert.equal((await a.send(b, 'hi')).conversation, '0:1:12333:12345');
  assert.equal((await b.send(a, 'hi')).conversation, '0:1:12333:12345');
  assert.equal((await a.send(c, 'hi')).conversation, '0:1:999:12345');
});

scenario('history is half-open by seq, both ways', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const seqs = ({ messages }) => messages.map((entry) => entry.seq);

  await alice.say(bob, ...Array.from({ length: 10 }, (_, i) => `n${i + 1}`));
  const forward = await bob.history(conversation, { after: 3, limit: 4 });
  assert.deepEqual(seqs(forward), [4, 5, 6, 7]);
  assert.equal(forward.more, true);
  const back = await bob.history(conversation, { before: 4, limit: 2 });
  assert.deepEqual(seqs(back), [2, 3]);
  assert.equal(back.more, true);
  const newest = await bob.history(conversation, { limit: 3 });
  assert.deepEqual(seqs(newest), [8, 9, 10]);
  assert.equal(newest.last_seq, 10);
  assert.equal(newest.first_seq, 1);
  const start = await bob.history(conversation, { before: 3, limit: 50 });
  assert.deepEqual(seqs(start), [1, 2]);
  assert.equal(start.more, false);
  const end = await bob.history(conversation, { after: 10 });
  assert.deepEqual(seqs(end), []);
  assert.equal(end.more, false);
});

scenario('the list of conversations is newest first, with what is unread',
         async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');

  await alice.say(bob, 'one', 'two');
  await carol.say(bob, 'three');
  await bob.send(alice, 'my own is not unread');
  const list = async () =>
    (await bob.call('conversation.list', { limit: 10 })).conversations;
  const [first, second] = await list();
  assert.equal(first.conversation, p2p(alice, bob));
  assert.equal(first.last_seq, 3);
  assert.equal(first.unread, 2);
  assert.equal(first.last_message.body.text, 'my own is not unread');
  assert.equal(second.conversation, p2p(bob, carol));
  assert.equal(second.unread, 1);
  await bob.call('message.read', { conversation: first.conversation, seq: 1 });
  const [read] = await list();
  assert.equal(read.read_seq, 1);
  assert.equal(read.unread, 1);
  const page = await bob.call('conversation.list', { limit: 1 });
  assert.equal(page.conversations.length, 1);
  assert.equal(page.more, true);
});

/** Bob has the message, in the idiom of his transport: a poll or a reconnect
 * presents the next cursor, what goes both ways may say it. */
async function present(bob, transport, follower, event) {
  if (duplexes.includes(transport)) {
    await follower.reply('message.ack', { cursor: event.cursor });
  } else if (streams.includes(transport) ||
             /^eventsource|^socketio/.test(transport)) {
    follower.drop();
    await bob.follow(transport, { cursor: event.cursor });
  } // polls have already asked again
}

story('the six packets: stored, delivered, read', everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const atAlice = await alice.follow('ws'); // msg:N and ack:N come here
  const onTablet = await bob.on('tablet').follow('ws');

  // msg:R, msg:A: stored, while bob is away
  const sent = await alice.send(bob, 'are you there?');
  await alice.send(alice, 'a note to myself');
  await atAlice.seen((event) => event.body?.text === 'a note to myself');
  assert.deepEqual(atAlice.all('receipt'), [],
                   'nothing is delivered before a device presents it');

  // msg:N
  const follower = await bob.on('phone').follow(scene.transport,
                                                { cursor: '0' });
  const event = await follower.next('message');
  assert.equal(event.seq, sent.seq);

  // ack:R, ack:A, ack:N
  await present(bob.on('phone'), scene.transport, follower, event);
  const delivered = await atAlice.next((one) => one.kind === 'delivered');
  assert.equal(delivered.event, 'receipt');
  assert.equal(delivered.conversation, conversation);
  assert.equal(delivered.user, bob.name);
  assert.ok(delivered.seq >= sent.seq);
  assert.match(delivered.cursor, /^[0-9a-f]{8}-\d+$/);

  await bob.on('phone').call('message.read', { conversation, seq: sent.seq });
  const read = await atAlice.next((one) => one.kind === 'read');
  assert.equal(read.user, bob.name);
  assert.equal(read.seq, sent.seq);
  const synced = await onTablet.next((one) => one.kind === 'read');
  assert.equal(synced.user, bob.name);
  assert.equal(synced.seq, sent.seq);
});

story('a receipt reaches the sender over every transport', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);
  const atAlice = await alice.follow(scene.transport);
  const { seq } = await alice.say(bob, 'one', 'two');

  await bob.call('message.ack', { conversation, seq });
  const delivered = await atAlice.next((event) => event.kind === 'delivered');
  assert.equal(delivered.seq, seq);
  await bob.call('message.read', { conversation, seq });
  const read = await atAlice.next((event) => event.kind === 'read');
  assert.equal(read.seq, seq);
  assert.equal(read.conversation, conversation);
});

scenario('marks only go forward', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const conversation = p2p(alice, bob);

  await alice.say(bob, 'one', 'two', 'three');
  await bob.call('message.read', { conversation, seq: 3 });
  await bob.call('message.read', { conversation, seq: 1 });
  const { conversations: [one] } = await bob.call('conversation.list');
  assert.equal(one.read_seq, 3);
  assert.equal(one.unread, 0);
  const receipts = (await alice.readAll())
    .filter((event) => event.kind === 'read');
  assert.deepEqual(receipts.map((event) => event.seq), [3]);
});

scenario('a body is read as JSON whatever its Content-Type', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');

  for (const type of ['text/plain', 'application/x-www-form-urlencoded',
                      'application/octet-stream'])
    await alice.call('message.send', { to: bob.name, body: { text: type } },
                     { headers: { 'content-type': type } });
  assert.equal((await bob.history(p2p(alice, bob))).messages.length, 3);
});

scenario('all four writers give the same answer shape', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const socket = await alice.follow('ws');
  const byPost = await alice.send(bob, 'by post');
  const { result } = await socket.reply('message.send', {
    to: bob.name, client_msg_id: 'by-ws', body: { text: 'by ws' },
  });

  assert.deepEqual(Object.keys(result).sort(), Object.keys(byPost).sort());
  assert.equal(result.seq, byPost.seq + 1);
});
