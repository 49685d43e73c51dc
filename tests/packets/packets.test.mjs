// The six packets. A message is msg:R, its answer msg:A and the event msg:N; what
// its receiver says of it is ack:R, the answer ack:A and the receipt ack:N. Each
// is lost in turn, often, over every transport and on both sides: there is one
// entry, it is shown once, and its sender ends knowing what is true of it.
// RUNG_PACKETS says how often each is lost, RUNG_SEED tells the same story again.

import assert from 'node:assert/strict';
import { p2p, scenario } from '../lib/story.mjs';
import { chosenSeed, eventually, seeded } from '../lib/wait.mjs';
import { Party } from './party.mjs';

const times = Number(process.env.RUNG_PACKETS ?? 100);
const pairs = Math.min(100, Math.max(6, Math.ceil(times / 2)));
const any = (want) => (way) => way === want ? 0 : -1;
const saying = (text) => (way, bytes) =>
  way === 'down' ? bytes.indexOf(text) : -1;

/** What is still to be lost, and was. */
class Plan {
  #left;
  lost = { 'msg:R': 0, 'msg:A': 0, 'msg:N': 0,
           'ack:R': 0, 'ack:A': 0, 'ack:N': 0 };
  over = new Map();

  constructor(random) {
    this.random = random;
    this.#left = new Map(Object.keys(this.lost).map((packet) =>
      [packet, times]));
  }

  take() {
    const open = [...this.#left].filter(([, left]) => left > 0);
    if (open.length === 0)
      return undefined;
    const [packet, left] = this.random.pick(open);
    this.#left.set(packet, left - 1);
    return packet;
  }

  count(packet, transport) {
    const key = `${packet} ${transport}`;
    this.lost[packet]++;
    this.over.set(key, (this.over.get(key) ?? 0) + 1);
  }

  /** It could not be lost this time. */
  giveBack(packet) {
    this.#left.set(packet, this.#left.get(packet) + 1);
  }
}

/** One message from alice to bob, until she knows that he has read it. */
class Round {
  /** The proxy that loses something, and over what. */
  trap;
  /** Whether what was lost had not been received before. */
  intact;

  constructor({ plan, random, alice, bob, conversation, text, packet }) {
    Object.assign(this, { plan, random, alice, bob, conversation, text,
                          packet });
    this.byMark = random.below(3) === 0; // the acknowledgement is the mark
  }

  lose(party, proxy, find, intact = () => true) {
    this.trap = { proxy, over: proxy === party.calls ? 'http' : party.over };
    proxy.loseNext(find, {
      keep: this.random.below(40), // less than any packet
      lost: () => { this.intact = intact(); },
    });
  }

  async play() {
    const { alice, bob, packet } = this;
    const sent = await this.#send();

    await bob.until(() => bob.shown.has(this.text), `${this.text} is shown`);
    await this.#acknowledge(sent);
    await alice.until(() => alice.state.delivered >= sent.seq,
                      `${this.text} is delivered`);
    await this.#read(sent);
    await alice.until(() => alice.state.read >= sent.seq,
                      `${this.text} is read`);
    await alice.until(() => alice.shown.has(this.text), 'her own is shown');
    await bob.until(() => bob.readByMe >= sent.seq, 'he knows it, too');
    if (!this.trap || this.trap.proxy.letPass()) {
      this.plan.giveBack(packet);
      return;
    }
    assert.ok(this.intact, 'it was received before it was lost');
    this.plan.count(packet, this.trap.over);
  }

  // --- msg:R, msg:A, msg:N

  async #send() {
    const { alice, bob, packet } = this;
    const { socket } = alice;
    const lane = socket ? alice.stream : alice.calls;

    if (packet === 'msg:R')
      this.lose(alice, lane, any('up'));
    if (packet === 'msg:A')
      this.lose(alice, lane, socket ? saying('{"id":') : any('down'));
    if (packet === 'msg:N')
      this.lose(bob, bob.stream, saying(this.text),
                () => !bob.shown.has(this.text));
    if (packet === 'ack:N' && !this.byMark)
      this.#loseReceipt('delivered');
    if (bob.presentsByItself && !this.byMark)
      this.#losePresented();
    const { answer, lost } = await alice.send(this.text, socket);

    // what was lost is what should have been: the first one, or its answer
    assert.equal(answer.duplicate, packet === 'msg:A');
    assert.equal(lost, packet === 'msg:R' || packet === 'msg:A' ? 1 : 0);
    return answer;
  }

  // --- ack:R, ack:A, ack:N

  #loseReceipt(kind) {
    const { alice } = this;
    const before = alice.state[kind];
    this.lose(alice, alice.stream, saying(`"kind":"${kind}"`),
              () => alice.state[kind] === before);
  }

  /** A poll acknowledges by its cursor, which is another than now. */
  #losePresented() {
    const { bob, packet } = this;
    const now = `cursor=${bob.roamer.current.cursor}&`;
    let presented = false;
    const presents = (way, bytes) => way === 'up' && bytes.includes('cursor=') &&
                                     !bytes.includes(now);

    if (packet === 'ack:R')
      this.lose(bob, bob.stream, (way, bytes) =>
        presents(way, bytes) ? 0 : -1);
    if (packet === 'ack:A')
      this.lose(bob, bob.stream, (way, bytes) => {
        presented ||= presents(way, bytes);
        return presented && way === 'down' ? 0 : -1;
      });
  }

  /** Arm what is to be lost of one call of bob's. */
  #loseCall(socket) {
    const { bob, packet } = this;
    const lane = socket ? bob.stream : bob.calls;

    if (packet === 'ack:R')
      this.lose(bob, lane, any('up'));
    if (packet === 'ack:A')
      this.lose(bob, lane, socket ? saying('{"id":') : any('down'));
  }

  async #bobCalls(method, params) {
    const { bob } = this;
    const { socket } = bob;
    const loses = !this.trap;
    if (loses)
      this.#loseCall(socket);
    const { lost } = await bob.call(method, params, socket);
    assert.equal(lost, loses && this.trap ? 1 : 0);
  }

  async #acknowledge({ cursor, seq }) {
    const { bob, conversation } = this;

    if (bob.presentsByItself && (this.trap || this.byMark))
      return;
    if (this.byMark)
      return this.#plainly({ conversation, seq });
    if (this.random.below(3) === 0) {
      this.#loseReconnect();
      bob.roamer.hop();
      return;
    }
    await this.#bobCalls('message.ack', this.random.below(2)
      ? { cursor } : { conversation, seq });
  }

  async #plainly(params) {
    await this.bob.call('message.ack', params);
  }

  /** Coming back presents the cursor: its request, and the head of what it is
   * answered. */
  #loseReconnect() {
    const { bob, packet } = this;

    if (packet === 'ack:R')
      this.lose(bob, bob.stream, any('up'));
    if (packet === 'ack:A')
      this.lose(bob, bob.stream, any('down'));
  }

  async #read({ seq }) {
    const params = { conversation: this.conversation, seq };

    if (!this.byMark)
      return void await this.bob.call('message.read', params);
    if (this.packet === 'ack:N')
      this.#loseReceipt('read');
    await this.#bobCalls('message.read', params);
  }
}

async function converse(scene, plan, random, i) {
  const people = await scene.people(`alice${i}`, `bob${i}`);
  const [alice, bob] = await Promise.all(people.map(async (person, at) =>
    new Party({ person, other: people[1 - at].name, random,
                stream: await scene.proxy(), calls: await scene.proxy() })));
  scene.onClose(() => Promise.all([alice.stop(), bob.stop()]));
  const conversation = p2p(...people);
  const texts = [];
  for (const party of [alice, bob])
    await eventually(() => party.over, 'it has a connection');

  for (let packet; (packet = plan.take()) !== undefined;) {
    const text = `${i}.${texts.length} without ${packet}.`;
    const round = new Round({ plan, random, alice, bob, conversation, text,
                              packet });
    texts.push(text);
    try {
      await round.play();
    } catch (error) {
      throw new Error(`${text} ${round.trap?.over}: ${error.message}`,
                      { cause: error });
    }
  }
  return { alice, bob, conversation, texts };
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

/** What the server, the receiver and the sender make of it in the end. */
async function check({ alice, bob, conversation, texts }) {
  const entries = await wholeHistory(alice.person, conversation);
  const last = texts.length;

  assert.deepEqual(entries.map(({ body }) => body.text), texts);
  assert.deepEqual(entries.map(({ seq }) => seq), texts.map((_, i) => i + 1));
  for (const { shown } of [alice, bob])
    assert.deepEqual([...shown], texts.map((text) => [text, 1]));
  assert.deepEqual(alice.state, { delivered: last, read: last });
  const { members } = await alice.person.call('conversation.get',
                                              { conversation });
  const his = members.find(({ user }) => user === bob.person.name);
  assert.deepEqual([his.delivered_seq, his.read_seq], [last, last]);
  // a device that was never here learns the same
  const receipts = (await alice.person.on('new').readAll())
    .filter(({ event, user }) => event === 'receipt' &&
                                 user === bob.person.name);
  assert.deepEqual(receipts.map(({ kind, seq }) => [kind, seq]).sort(),
                   [['delivered', last], ['read', last]]);
}

scenario(`each of the six packets is lost ${times} times`,
         { timeout: 60000 + times * 600 }, async (scene, t) => {
  const random = seeded(chosenSeed());
  t.diagnostic(`RUNG_SEED=${random.seed}`);
  const plan = new Plan(random);
  const conversations = await Promise.all(Array.from({ length: pairs },
    (_, i) => converse(scene, plan, random, i)));

  for (const one of conversations.filter(({ texts }) => texts.length > 0))
    await check(one);
  t.diagnostic(`lost: ${JSON.stringify(plan.lost)}`);
  t.diagnostic([...plan.over].sort().map(([key, n]) => `${key}: ${n}`)
    .join(', '));
  for (const [packet, lost] of Object.entries(plan.lost))
    assert.equal(lost, times, packet);
});
