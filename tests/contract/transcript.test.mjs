// Transcript equality. While writers write and connections are reset at random
// bytes, what a user's client hands on, one connection after the other, equals
// the log's mixed chain exactly: nothing lost, nothing twice, nothing out of
// order. RUNG_SEED tells the same story again.

import assert from 'node:assert/strict';
import {
  clients, sequenced, socketios, transports,
} from '../lib/followers.mjs';
import { Roamer } from '../lib/roamer.mjs';
import { scenario } from '../lib/story.mjs';
import { chosenSeed, eventually, pause, seeded } from '../lib/wait.mjs';

const isSequenced = (event) => sequenced.includes(event.event);

/** The last position of each receipt: receipts are coalesced, positions are
 * what counts. */
function positions(events) {
  const last = {};
  for (const event of events) {
    if (event.event !== 'receipt')
      continue;
    const key = `${event.kind} ${event.conversation} ${event.user}`;
    last[key] = Math.max(last[key] ?? 0, event.seq);
  }
  return last;
}

/** Three friends write in two groups and in pairs; members come and go. */
async function write(random, { alice, bob, carol, reader }, groups, rounds) {
  const [steady, lively] = groups;
  const acts = [
    () => alice.send(reader, `to you ${'x'.repeat(random.below(900))}`),
    () => bob.send(steady, `in steady ${random.below(1000)}`),
    () => carol.send(lively, 'in lively'),
    () => alice.send(lively, 'in lively, too'),
    () => reader.send(bob, 'my own'),
    () => reader.send(steady, 'my own in steady'),
    () => alice.send(bob, 'not for you'),
    () => bob.call('message.read', { conversation: steady, seq: 1 }),
    async () => {
      await alice.call('conversation.invite', {
        conversation: lively, users: [bob.name],
      });
      await bob.call('conversation.leave', { conversation: lively });
    },
    () => reader.call('conversation.leave', { conversation: lively }),
    () => alice.call('conversation.invite', {
      conversation: lively, users: [reader.name],
    }),
  ];

  for (let i = 0; i < rounds; i++) {
    const burst = Array.from({ length: random.between(1, 6) },
                             () => random.pick(acts)().catch((error) => {
      // leaving twice, writing as one who left: refusals are fine here
      if (error.status === undefined || error.status >= 500)
        throw error;
    }));
    await Promise.all(burst);
    await pause(random.between(0, 12)); // the pace of people, not a wait
  }
}

async function tell(scene, t, { pick, over, rounds, restarts = 0 }) {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const [alice, bob, carol, reader] =
    await scene.people('alice', 'bob', 'carol', 'reader');
  const steady = (await alice.group([bob, reader])).conversation;
  const lively = (await alice.group([carol, reader])).conversation;
  const proxy = await scene.proxy();

  // two connections in three are reset somewhere, some within their head
  proxy.budget = () => (random.unit() < 0.67
    ? Math.floor(50 * 2 ** (random.unit() * 9)) : undefined);
  const roamer = new Roamer({
    url: proxy.url, token: reader.token, cursor: '0', random,
    limit: random.pick([undefined, 3, 50]),
    pick: () => pick(random, over),
  });
  scene.onClose(() => roamer.stop().catch(() => {}));
  const hops = setInterval(() => {
    if (random.unit() < 0.5)
      roamer.hop();
    else
      proxy.reset();
  }, 120);

  try {
    await write(random, { alice, bob, carol, reader }, [steady, lively],
                rounds);
    for (let i = 0; i < restarts; i++) {
      await scene.server.restart();
      await write(random, { alice, bob, carol, reader }, [steady, lively],
                  Math.ceil(rounds / 4));
    }
  } finally {
    clearInterval(hops);
  }
  await bob.call('message.read', {
    conversation: steady,
    seq: (await bob.history(steady)).last_seq,
  });
  const last = await alice.send(reader, 'the end');
  proxy.heal();
  proxy.reset();
  await eventually(() => {
    roamer.running.catch((error) => { roamer.failed = error; });
    if (roamer.failed)
      throw roamer.failed;
    return roamer.transcript.some((event) => event.cursor === last.cursor);
  }, 'the roamer reaches the end', 15000);

  const chain = await reader.readAll('0', { limit: 100 });
  const expected = chain.filter(isSequenced);
  const told = roamer.transcript.filter(isSequenced);
  t.diagnostic(`${expected.length} entries over ${roamer.connections} ` +
               `connections (${[...roamer.used].join(' ')}), ` +
               `${proxy.cuts} cut inside an answer`);
  assert.ok(expected.length > rounds);
  assert.deepEqual(told.map(({ cursor }) => cursor),
                   expected.map(({ cursor }) => cursor));
  assert.deepEqual(told, expected);
  assert.deepEqual(roamer.transcript.filter(({ event }) =>
    ['gap', 'reset'].includes(event)), []);
  const atEnd = positions(chain);
  const seen = positions(roamer.transcript);
  for (const [key, seq] of Object.entries(atEnd))
    assert.ok((seen[key] ?? 0) >= seq, `${key}: ${seen[key]}, not ${seq}`);
}

/* A stock client whose WebSocket breaks between the probe's answer and the
 * upgrade stops polling and does not notice (engine.io-client 6, _probe): only
 * the missing pings tell it. */
const env = {
  RUNG_SOCKETIO_PING_INTERVAL_MS: '1000',
  RUNG_SOCKETIO_PING_TIMEOUT_MS: '1000',
};

for (const transport of [...clients, ...socketios])
  scenario(`the transcript over ${transport} equals the mixed chain`, {
    timeout: 60000, env,
  }, (scene, t) => tell(scene, t, {
    rounds: 120, pick: () => transport,
  }));

scenario('the transcript over random switches equals the mixed chain', {
  timeout: 60000, env,
}, (scene, t) => tell(scene, t, {
  rounds: 240, over: [...clients, ...socketios],
  pick: (random, over) => random.pick(over),
}));

scenario('the transcript over switches and restarts equals the mixed chain', {
  timeout: 60000, env,
}, (scene, t) => tell(scene, t, {
  rounds: 60, restarts: 4, over: [...transports, ...socketios],
  pick: (random, over) => random.pick(over),
}));
