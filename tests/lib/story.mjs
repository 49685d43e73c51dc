// A story is told once and run over every transport: one server, and for each
// transport a scene with people of its own, so that stories do not meet.

import test from 'node:test';
import { randomUUID } from 'node:crypto';
import { follow, transports } from './followers.mjs';
import { Proxy } from './proxy.mjs';
import { Server } from './server.mjs';
import { eventually, ms } from './wait.mjs';

/** Limits that the stories are not about stay out of their way. */
const generous = {
  RUNG_USER_RATE: '1000000',
  RUNG_CONNECTION_RATE: '1000000',
  RUNG_MAX_PARKED_PER_USER: '1000',
  RUNG_BYE_SPREAD_MS: '200',
  RUNG_WORKERS: '2',
};

let people = 0;

export const p2p = (a, b) => {
  const [low, high] = [String(a), String(b)].sort((x, y) =>
    Buffer.compare(Buffer.from(x), Buffer.from(y)));
  return `0:1:${low}:${high}`;
};

export class Person {
  constructor(scene, name, token, device) {
    Object.assign(this, { scene, name, token, device });
    this.server = scene.server;
  }

  toString() {
    return this.name;
  }

  call(method, params, options = {}) {
    return this.server.call(method, params, {
      token: this.token,
      ...options,
      query: { device: this.device, ...options.query },
    });
  }

  /** Say `text` to a person or in a conversation ("0:2:…"). */
  send(to, text, more = {}) {
    const where = /^\d+:[123]:/.test(String(to))
      ? { conversation: String(to) } : { to: String(to) };
    return this.call('message.send', {
      ...where,
      client_msg_id: randomUUID(),
      type: 'text',
      body: { text },
      ...more,
    });
  }

  /** `texts` one after the other; the last result. */
  async say(to, ...texts) {
    let result;
    for (const text of texts)
      result = await this.send(to, text);
    return result;
  }

  async history(conversation, more = {}) {
    return this.call('message.history', { conversation, limit: 200, ...more });
  }

  async group(members = [], settings = undefined, more = {}) {
    return this.call('conversation.create', {
      type: 'group',
      id: `g${++people}`,
      name: 'a group',
      members: members.map(String),
      ...(settings && { settings }),
      ...more,
    });
  }

  /** Open a follower over `transport`; it is closed with the scene. */
  follow(transport, options = {}) {
    return this.scene.follow(transport, {
      token: this.token,
      device: this.device,
      ...options,
    });
  }

  /** Where "now" is. */
  async now() {
    const { json } = await this.server.get('/v1/poll', {
      headers: { authorization: `Bearer ${this.token}` },
    });
    return json.cursor;
  }

  /** One answer of a poll, as it is. */
  poll(query = {}, { path = '/v1/poll', headers, ...options } = {}) {
    const target = new URLSearchParams(query);
    return this.server.get(`${path}?${target}`, {
      headers: { authorization: `Bearer ${this.token}`, ...headers },
      ...options,
    });
  }

  /** Everything beyond `cursor`, read by short polls. */
  async readAll(cursor = '0', more = {}) {
    const events = [];
    for (;;) {
      const { status, json, text } = await this.poll({ cursor, ...more });
      if (status !== 200)
        throw new Error(`poll: ${status} ${text}`);
      events.push(...json.events);
      cursor = json.cursor;
      if (!json.more)
        return events;
    }
  }

  /** The same person on another device. */
  on(device) {
    return new Person(this.scene, this.name, this.token, device);
  }
}

export class Scene {
  #closing = [];

  constructor(server, transport) {
    this.server = server;
    this.transport = transport;
  }

  /** A person with a name nobody else has; the demo login, or a token of an
   * app of the configuration. */
  async person(name, { app, ...claims } = {}) {
    return this.named(`${name}.${++people}`, { app, ...claims });
  }

  async named(name, { app, ...claims } = {}) {
    const token = app ? this.server.token(name, { app, ...claims })
                      : await this.server.login(name);
    return new Person(this, name, token);
  }

  async people(...names) {
    const list = [];
    for (const name of names)
      list.push(await this.person(name));
    return list;
  }

  async follow(transport, options) {
    const url = this.server.urlFor(transport);
    const follower = await follow(transport, { url, ...options });
    this.#closing.push(() => follower.close());
    return follower;
  }

  async proxy() {
    const { port, linePort } = this.server;
    const proxy = await Proxy.open(port, linePort);
    this.#closing.push(() => proxy.close());
    return proxy;
  }

  onClose(close) {
    this.#closing.push(close);
  }

  async close() {
    for (const close of this.#closing.reverse())
      await close();
  }
}

async function tellOn(server, transport, tell, t) {
  const scene = new Scene(server, transport);
  try {
    await tell(scene, t);
  } finally {
    await scene.close();
  }
}

const settingsOf = ({ env, ...options }) =>
  ({ ...options, env: { ...generous, ...env } });

/** One server, one scene. */
export function scenario(name, ...rest) {
  const [options, tell] = rest.length > 1 ? rest : [{}, rest[0]];

  test(name, { timeout: ms(options.timeout ?? 60000), skip: options.skip,
               todo: options.todo },
       async (t) => {
    const server = await Server.start(settingsOf(options));
    try {
      await tellOn(server, undefined, tell, t);
    } finally {
      await server.finish();
    }
  });
}

/** One server, a scene for each transport (or each of `over`). With `fresh`
 * each transport gets a server of its own, for stories that end it. */
export function story(name, ...rest) {
  const [options, tell] = rest.length > 1 ? rest : [{}, rest[0]];
  const over = options.over ?? transports;
  const timeout = ms(options.timeout ?? 30000);

  test(name, { timeout: timeout * over.length }, async (t) => {
    let server;
    const end = async () => {
      const ending = server;
      server = undefined;
      await ending?.finish();
    };
    try {
      for (const transport of over) {
        if (options.fresh)
          await end();
        server ??= await Server.start(settingsOf(options));
        await t.test(`over ${transport}`, { timeout }, async (t) => {
          await tellOn(server, transport, tell, t);
          server.assertQuiet();
        });
      }
    } finally {
      await end();
    }
  });
}

/** Until /metrics shows so many followers on (or parked) over `transport`. */
export async function attached(server, transport, count = 1) {
  const name = { eventsource: 'sse', 'socketio-polling': 'socketio' }[transport]
    ?? transport;
  const line = new RegExp(`^rung_carriers\\w*\\{[^}]*"${name}"[^}]*\\} (\\d+)`,
                          'm');
  await eventually(async () => {
    const { text } = await server.get('/metrics');
    return Number(line.exec(text)?.[1] ?? 0) >= count;
  }, `${count} carrier(s) over ${name} in /metrics`);
}
