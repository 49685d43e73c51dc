// Who sees what: join, leave and invite in the middle of a conversation.

import assert from 'node:assert/strict';
import { clients, duplexes } from '../lib/followers.mjs';
import { Refusal } from '../lib/http.mjs';
import { scenario, story } from '../lib/story.mjs';

const everyone = { over: clients };
const refusedWith = (...codes) => (error) => {
  assert.ok(error instanceof Refusal, error.stack);
  assert.ok(codes.includes(error.code), error.message);
  return true;
};

story('who is invited sees from the join on', everyone, async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob]);
  const follower = await carol.follow(scene.transport, { cursor: '0' });

  await alice.send(conversation, 'before');
  await alice.call('conversation.invite', { conversation,
                                            users: [carol.name] });
  await alice.send(conversation, 'after');
  await follower.seen((event) => event.body?.text === 'after');
  assert.deepEqual(follower.texts, ['after']);
  const changes = follower.all('conversation');
  assert.equal(changes.length, 1);
  assert.equal(changes[0].change, 'invited');
  assert.deepEqual(changes[0].users, [carol.name]);
  assert.equal(changes[0].by, alice.name);
  assert.equal(changes[0].seq, 3); // created, before, invited
  assert.deepEqual((await carol.history(conversation, { after: 0 })).messages
    .map((entry) => entry.seq), [3, 4]);
  const fromStart = await carol.follow(scene.transport, { cursor: '0' });
  await fromStart.next('message');
  assert.deepEqual(fromStart.texts, ['after']);
});

story('a conversation with history "all" shows newcomers everything', everyone,
      async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const { conversation } = await alice.group([bob], { history: 'all' });

  await alice.say(conversation, 'one', 'two');
  await alice.call('conversation.invite', { conversation,
                                            users: [carol.name] });
  const { messages } = await carol.history(conversation, { after: 0 });
  assert.deepEqual(messages.map((entry) => entry.seq), [1, 2, 3, 4]);
  const follower = await carol.follow(scene.transport,
                                      { conversation, after: 0 });
  await follower.take(2, 'message');
  assert.deepEqual(follower.texts, ['one', 'two']);
});

story('who leaves stops receiving at that seq and may read up to it', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob]);
  const follower = await bob.follow(scene.transport);

  await alice.send(conversation, 'one');
  await bob.call('conversation.leave', { conversation });
  await alice.send(conversation, 'behind your back');
  // what reaches bob after it proves that the other did not
  await alice.send(bob, 'in person');
  await follower.seen((event) => event.body?.text === 'in person');
  assert.deepEqual(follower.texts, ['one', 'in person']);
  const left = follower.all('conversation').at(-1);
  assert.equal(left.change, 'left');
  assert.deepEqual(left.users, [bob.name]);
  const { messages } = await bob.history(conversation, { after: 0 });
  assert.deepEqual(messages.map((entry) => entry.seq), [1, 2, 3]);
  await assert.rejects(bob.send(conversation, 'let me in'),
                       refusedWith('not_member'));
});

story('who comes back sees both times, and nothing of the time between',
      everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob]);

  await alice.send(conversation, 'first time');
  await bob.call('conversation.leave', { conversation });
  await alice.send(conversation, 'between');
  await alice.call('conversation.invite', { conversation, users: [bob.name] });
  await alice.send(conversation, 'second time');
  const follower = await bob.follow(scene.transport, { cursor: '0' });
  await follower.take(2, 'message');
  assert.deepEqual(follower.texts, ['first time', 'second time']);
});

story('a leaver who follows the single chain stops there too', everyone,
      async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob]);
  const follower = await bob.follow(scene.transport,
                                    { conversation, after: 0 });

  await alice.send(conversation, 'one');
  await follower.next('message');
  await bob.call('conversation.leave', { conversation });
  await follower.next((event) => event.change === 'left');
  await alice.send(conversation, 'behind your back');
  const onMixed = await bob.follow(scene.transport, { cursor: '0' });
  await alice.send(bob, 'in person');
  await onMixed.seen((event) => event.body?.text === 'in person');
  assert.deepEqual(follower.texts, ['one']);
});

story('who left may open the single chain again, and it still ends there',
      everyone, async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const { conversation } = await alice.group([bob]);

  await alice.send(conversation, 'one');
  await bob.call('conversation.leave', { conversation }); // seq 3
  const fromStart = await bob.follow(scene.transport,
                                     { conversation, after: 0 });
  const fromEnd = await bob.follow(scene.transport,
                                   { conversation, after: 3 });
  await fromStart.next((event) => event.change === 'left');
  await alice.send(conversation, 'behind your back');
  const onMixed = await bob.follow(scene.transport, { cursor: '0' });
  await alice.send(bob, 'in person');
  await onMixed.seen((event) => event.body?.text === 'in person');
  assert.deepEqual(fromStart.texts, ['one']);
  assert.deepEqual(fromEnd.texts, []);
});

story('a stranger can neither follow nor read nor write', everyone,
      async (scene) => {
  const [alice, bob, eve] = await scene.people('alice', 'bob', 'eve');
  const { conversation } = await alice.group([bob], { joinable: false });

  await alice.send(conversation, 'private');
  const follower = await eve.follow(scene.transport,
                                    { conversation, after: 0 });
  const end = follower.end ?? await follower.ending();
  if (end.status !== undefined)
    assert.ok([403, 404].includes(end.status), JSON.stringify(end));
  else
    assert.ok(duplexes.includes(scene.transport));
  assert.deepEqual(follower.texts, []);
  const attempts = [
    ['message.history', {}],
    ['message.send', { body: { text: 'hello?' } }],
    ['message.read', { seq: 1 }],
    ['message.ack', { seq: 1 }],
    ['conversation.get', {}],
    ['conversation.invite', { users: [eve.name] }],
    ['conversation.join', {}],
    ['conversation.leave', {}],
  ];
  for (const [method, params] of attempts)
    await assert.rejects(eve.call(method, { conversation, ...params }),
                         refusedWith('not_member', 'not_found', 'forbidden'),
                         method);
});

scenario('each change is an entry in order, with the next seq',
         async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const created = await alice.group([bob]);
  const { conversation } = created;

  assert.equal(created.type, 'group');
  assert.equal(created.last_seq, 1);
  assert.deepEqual(created.members.map(({ user }) => user).sort(),
                   [alice.name, bob.name].sort());
  assert.equal(created.members.find(({ user }) => user === alice.name).role,
               'owner');
  await alice.send(conversation, 'one');
  await alice.call('conversation.invite', { conversation,
                                            users: [carol.name] });
  await bob.send(conversation, 'two');
  await carol.call('conversation.leave', { conversation });
  const { messages, first_seq: first, last_seq: last } =
    await alice.history(conversation, { after: 0 });
  assert.deepEqual(messages.map((entry) => [entry.seq, entry.event,
                                            entry.change ?? entry.body.text]),
                   [[1, 'conversation', 'created'], [2, 'message', 'one'],
                    [3, 'conversation', 'invited'], [4, 'message', 'two'],
                    [5, 'conversation', 'left']]);
  assert.equal(first, 1);
  assert.equal(last, 5);
  const got = await bob.call('conversation.get', { conversation });
  assert.deepEqual(got.members.map(({ user }) => user).sort(),
                   [alice.name, bob.name].sort());
});

scenario('a group is joined by those whom it lets in', async (scene) => {
  const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
  const open = await alice.group([]);
  const closed = await alice.group([], { joinable: false });

  await bob.call('conversation.join', { conversation: open.conversation });
  await bob.send(open.conversation, 'here I am');
  const { messages } = await alice.history(open.conversation, { after: 0 });
  assert.equal(messages[1].change, 'joined');
  assert.deepEqual(messages[1].users, [bob.name]);
  await assert.rejects(
    carol.call('conversation.join', { conversation: closed.conversation }),
    refusedWith('forbidden', 'not_member'));
});

scenario('a channel takes posts of others only when it is open',
         async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const create = (id, settings) => alice.call('conversation.create', {
    type: 'channel', id, settings,
  });
  const open = await create('plaza', { open: true });
  const closed = await create('pulpit');

  await bob.send(open.conversation, 'hello all');
  await assert.rejects(bob.send(closed.conversation, 'hello all'),
                       refusedWith('forbidden', 'not_member'));
  assert.equal((await bob.history(open.conversation)).messages.at(-1)
    .body.text, 'hello all');
  assert.deepEqual((await bob.history(closed.conversation, { after: 0 }))
    .messages.map((entry) => entry.seq), [1]);
});

scenario('a conversation is created once', async (scene) => {
  const alice = await scene.person('alice');

  await alice.group([], undefined, { id: 'team' });
  await assert.rejects(alice.group([], undefined, { id: 'team' }),
                       refusedWith('conflict'));
});
