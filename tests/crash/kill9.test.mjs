// kill -9, again and again, while writers write over mixed transports and a
// reader roams. Every acknowledged message is there after the restart, seq has
// no gap and nothing is there twice, and the store passes its own check.
// RUNG_KILL_LOOPS says how often (default 30).

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import test from 'node:test';
import { follow, sequenced, transports } from '../lib/followers.mjs';
import { Roamer } from '../lib/roamer.mjs';
import { rung, Server } from '../lib/server.mjs';
import { Scene } from '../lib/story.mjs';
import { chosenSeed, eventually, ms, pause, seeded, within }
  from '../lib/wait.mjs';

const loops = Number(process.env.RUNG_KILL_LOOPS ?? 30);

/** Writes until told to stop. A message without an answer is sent again, with
 * the same client_msg_id, until it has one. */
class Writer {
  acknowledged = [];
  retried = 0;
  #going = true;

  constructor(person, to, over) {
    Object.assign(this, { person, to, over });
    this.running = this.#write();
    this.running.catch(() => {});
  }

  async #write() {
    while (this.#going) {
      const id = randomUUID();
      const text = `${this.over} ${this.acknowledged.length}`;
      const answer = await this.#untilAnswered(id, text);
      if (answer)
        this.acknowledged.push({ id, text, ...answer });
    }
    this.socket?.drop();
  }

  async #untilAnswered(id, text) {
    const deadline = Date.now() + ms(20000);

    while (Date.now() < deadline) {
      try {
        return this.over === 'ws' ? await this.#byFrame(id, text)
          : await this.person.send(this.to, text, { client_msg_id: id });
      } catch (error) {
        if (error.status !== undefined && error.status < 500)
          throw error;
        this.retried++;
        await pause(10);
        if (!this.#going)
          return undefined;
      }
    }
    throw new Error(`no answer to ${text}`);
  }

  async #byFrame(id, text) {
    if (!this.socket || this.socket.over)
      this.socket = await follow('ws', {
        url: this.person.server.url, token: this.person.token, patient: false,
      });
    if (this.socket.over)
      throw new Error('the websocket did not open');
    const { result, error } = await this.socket.reply('message.send', {
      ...(this.to.startsWith('0:') ? { conversation: this.to }
                                   : { to: this.to }),
      client_msg_id: id, type: 'text', body: { text },
    });
    if (error)
      throw Object.assign(new Error(error.message),
                          { status: error.code === 'unavailable' ? 503 : 400 });
    return result;
  }

  async stop() {
    this.#going = false;
    await this.running;
  }
}

async function wholeHistory(person, conversation) {
  const entries = [];
  for (;;) {
    const { messages, more } = await person.history(conversation, {
      after: entries.at(-1)?.seq ?? 0,
    });
    entries.push(...messages);
    if (!more)
      return entries;
  }
}

test(`nothing acknowledged is lost by ${loops} kills`, {
  timeout: ms(30000 + loops * 5000),
}, async (t) => {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const server = await Server.start({
    env: { RUNG_USER_RATE: '1000000', RUNG_CONNECTION_RATE: '1000000' },
  });
  const scene = new Scene(server);
  try {
    const [alice, bob, carol] = await scene.people('alice', 'bob', 'carol');
    const { conversation } = await alice.group([bob, carol]);
    const writers = [
      new Writer(alice, conversation, 'ws'),
      new Writer(alice, conversation, 'http'),
      new Writer(bob, conversation, 'ws'),
      new Writer(bob, carol.name, 'http'),
    ];
    const roamer = new Roamer({
      urlFor: (transport) => server.urlFor(transport),
      token: carol.token, cursor: '0', random,
      pick: () => random.pick(transports),
    });
    scene.onClose(() => roamer.stop().catch(() => {}));

    for (let i = 0; i < loops; i++) {
      const before = writers.map(({ acknowledged }) => acknowledged.length);
      await pause(random.between(5, 150)); // the moment of the kill is random
      await server.kill();
      const check = await rung(['check', '--data', server.dir]);
      assert.equal(check.code, 0, `check after kill ${i + 1}: ` +
                   check.stdout + check.stderr);
      await server.start();
      await eventually(() => writers.every(({ acknowledged }, n) =>
        acknowledged.length > before[n]),
      `every writer goes on after kill ${i + 1}`, 15000);
    }
    for (const writer of writers)
      await within(25000, writer.stop(), 'the writer stops');
    const last = await alice.send(carol, 'the end');
    await eventually(() => roamer.transcript.some(({ cursor }) =>
      cursor === last.cursor), 'the reader reaches the end', 15000);

    const inGroup = await wholeHistory(carol, conversation);
    const inPair = await wholeHistory(
      carol, writers[3].acknowledged[0].conversation);
    for (const entries of [inGroup, inPair]) {
      assert.deepEqual(entries.map(({ seq }) => seq),
                       entries.map((_, i) => i + 1), 'seq has no gap');
      const ids = entries.map((entry) => entry.client_msg_id).filter(Boolean);
      assert.equal(new Set(ids).size, ids.length, 'nothing is there twice');
    }
    const kept = new Map([...inGroup, ...inPair]
      .map((entry) => [entry.client_msg_id, entry]));
    let count = 0;
    for (const { acknowledged } of writers)
      for (const { id, seq, cursor, text } of acknowledged) {
        const entry = kept.get(id);
        assert.ok(entry, `${text} was acknowledged`);
        assert.equal(entry.seq, seq);
        assert.equal(entry.cursor, cursor);
        assert.equal(entry.body.text, text);
        count++;
      }
    t.diagnostic(`${count} acknowledged, ` +
                 `${writers.reduce((sum, w) => sum + w.retried, 0)} retries, ` +
                 `${roamer.connections} connections of the reader`);

    const chain = (await carol.readAll('0', { limit: 500 }))
      .filter(({ event }) => sequenced.includes(event));
    assert.deepEqual(roamer.transcript
      .filter(({ event }) => sequenced.includes(event))
      .map(({ cursor }) => cursor), chain.map(({ cursor }) => cursor));
  } finally {
    await scene.close();
    await server.finish();
  }
});
