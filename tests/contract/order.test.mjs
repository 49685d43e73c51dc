// Sender order: whatever overtakes what on the way, messages that a device
// counts (client_seq) stand in the log as it counted them, each once.

import assert from 'node:assert/strict';
import { Refusal } from '../lib/http.mjs';
import { p2p, scenario } from '../lib/story.mjs';
import { chosenSeed, seeded } from '../lib/wait.mjs';

/** Ways to send {client_seq, …}: the result, or a Refusal. */
const ways = {
  http: async (person) => (params) => person.call('message.send', params),
  ws: async (person) => {
    const socket = await person.follow('ws');
    return async (params) => {
      const { result, error } = await socket.reply('message.send', params);
      if (error)
        throw new Refusal('message.send', undefined, error);
      return result;
    };
  },
};

function shuffled(list, random) {
  const rest = [...list];
  return list.map(() => rest.splice(random.below(rest.length), 1)[0]);
}

/** All at once, in any order; who is refused goes again, until none is. The
 * refusals there were. */
async function sendAll(send, messages, random) {
  let refusals = 0;
  for (let left = messages; left.length > 0;) {
    const refused = [];
    await Promise.all(shuffled(left, random).map(async (message) => {
      try {
        await send(message);
      } catch (error) {
        assert.equal(error.code, 'conflict', error.stack);
        assert.match(error.text, /client_seq: \d+ was the last .* is next/);
        refused.push(message);
      }
    }));
    assert.ok(refused.length < left.length, 'none got through');
    refusals += refused.length;
    left = refused;
  }
  return refusals;
}

for (const [name, way] of Object.entries(ways)) {
  scenario(`over ${name}, sends that overtake each other are put in order`,
           async (scene, t) => {
    const random = seeded(chosenSeed());
    t.diagnostic(`RUNG_SEED=${random.seed}`);
    const [alice, bob] = await scene.people('alice', 'bob');
    const send = await way(alice);
    const messages = Array.from({ length: 30 }, (_, i) => ({
      to: bob.name, client_seq: 7 + i, client_msg_id: `m${i}`,
      body: { text: `${i}` },
    }));

    await send(messages[0]);
    assert.ok(await sendAll(send, messages.slice(1), random) > 0);
    const { messages: kept } = await bob.history(p2p(alice, bob));
    assert.deepEqual(kept.map(({ body }) => body.text),
                     messages.map(({ body }) => body.text));
  });
}

scenario('a retry is answered, whatever has been sent since', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const numbered = (n) => alice.send(bob, `${n}`, { client_seq: n,
                                                    client_msg_id: `m${n}` });

  await numbered(1);
  await numbered(2);
  assert.equal((await numbered(1)).duplicate, true);
  await scene.server.restart();
  assert.equal((await numbered(2)).duplicate, true);
  await assert.rejects(numbered(4), { code: 'conflict' });
  await numbered(3);
  await numbered(4);
});

scenario('each device has an order of its own', async (scene) => {
  const [alice, bob] = await scene.people('alice', 'bob');
  const phone = alice.on('phone');

  await alice.send(bob, 'one', { client_seq: 1 });
  await phone.send(bob, 'other', { client_seq: 100 });
  await alice.send(bob, 'two', { client_seq: 2 });
  await assert.rejects(phone.send(bob, 'late', { client_seq: 3 }), (error) => {
    assert.equal(error.status, 409);
    assert.match(error.text, /101 is next/);
    assert.equal(error.expected, 101);
    return true;
  });
});
