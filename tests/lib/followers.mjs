// A follower is a client that moves a cursor along the log over one transport.
// They differ only in how bytes come in: ws (npm ws), tcp (a socket), sse and
// stream (fetch, read by hand), multipart (npm @fastify/busboy), iframe (a page's
// scripts, run), eventsource (npm eventsource), longpoll, poll, jsonp (a script,
// run), and socketio (npm socket.io-client).
//
// The client rule, the same for all: advance the cursor first, then hand the
// event on; drop what is not beyond the cursor.

import http from 'node:http';
import net from 'node:net';
import vm from 'node:vm';
import { Dicer } from '@fastify/busboy';
import { EventSource } from 'eventsource';
import { io } from 'socket.io-client';
import WebSocket from 'ws';
import { request, withQuery } from './http.mjs';
import { pause, within } from './wait.mjs';

/** What the contract runs over, and besides it the stock EventSource. */
export const transports = ['ws', 'sse', 'longpoll', 'poll', 'stream',
                           'multipart', 'iframe', 'jsonp', 'tcp'];
export const clients = [...transports, 'eventsource'];
/** Both ways over one connection. */
export const duplexes = ['ws', 'tcp'];
/** What begins with an HTTP request. */
export const overHttp = transports.filter((name) => name !== 'tcp');
/** The stock Socket.IO client, on a WebSocket, on polling, from one to the
 * other. */
export const socketios = ['socketio', 'socketio-polling', 'socketio-both'];
/** Responses without an end. */
export const streams = ['sse', 'stream', 'multipart', 'iframe'];

/** The kinds that are entries of a conversation and carry its next seq. */
export const sequenced = ['message', 'conversation'];
/** The kinds that speak about the stream: never dropped as already seen. */
const aboutTheStream = ['hello', 'heartbeat', 'gap', 'reset', 'bye', 'error'];
const kinds = [...sequenced, ...aboutTheStream, 'receipt', 'presence', 'typing',
               'signal', 'user', 'contact', 'message.edited',
               'message.recalled'];

export function parseCursor(cursor) {
  const [epoch, lsn] = String(cursor).split('-');
  return { epoch, lsn: Number(lsn) };
}

/** Whether `cursor` lies beyond `than` (undefined or '0': before everything).
 * Another epoch is another log, so everything in it is new. */
export function beyond(cursor, than) {
  if (than === undefined || than === '0')
    return true;
  const a = parseCursor(cursor);
  const b = parseCursor(than);
  return a.epoch !== b.epoch || a.lsn > b.lsn;
}

const matcher = (match) => {
  if (match === undefined)
    return () => true;
  if (typeof match === 'string')
    return (event) => event.event === match;
  return match;
};

class Follower {
  /** Where it stands: what it would present next. */
  cursor;
  after;
  /** Events handed on, in order; and those dropped as already seen. */
  events = [];
  dropped = [];
  hello;
  #unread = [];
  #waiting = new Set();
  #end;

  /** `url` is the server (or a proxy before it). */
  constructor(options) {
    this.options = { device: undefined, limit: undefined, ...options };
    this.cursor = options.cursor;
    this.conversation = options.conversation;
    this.after = options.after;
    this.ended = new Promise((resolve) => { this.#end = resolve; });
  }

  get over() {
    return this.end !== undefined;
  }

  /** How it ended, soon. */
  ending(limit = 8000) {
    return within(limit, this.ended, () => `${this.name} ends; it has ` +
                  JSON.stringify(this.events.slice(-4)));
  }

  query(more = {}) {
    const single = this.conversation !== undefined && this.after !== undefined;
    return {
      cursor: single ? undefined : this.cursor,
      conversation: this.conversation,
      after: this.after,
      limit: this.options.limit,
      device: this.options.device,
      ...this.options.query,
      ...more,
    };
  }

  get headers() {
    const { token, headers } = this.options;
    return { ...(token && { authorization: `Bearer ${token}` }), ...headers };
  }

  /** The client rule. */
  accept(event) {
    if (this.end)
      return;
    if (event.event === 'hello')
      this.hello = event;
    if (sequenced.includes(event.event) && this.after !== undefined) {
      if (event.seq <= this.after) {
        this.dropped.push(event);
        return;
      }
      this.after = event.seq;
    }
    if (event.event === 'gap' && this.after !== undefined &&
        event.to > this.after)
      this.after = event.to;
    if (event.cursor !== undefined) {
      const new_ = event.event === 'reset' || beyond(event.cursor, this.cursor);
      if (!new_ && !aboutTheStream.includes(event.event) &&
          this.after === undefined) {
        this.dropped.push(event);
        return;
      }
      if (new_)
        this.cursor = event.cursor;
    }
    this.events.push(event);
    this.#unread.push(event);
    this.#stir();
  }

  #stir() {
    for (const look of [...this.#waiting])
      look();
  }

  /** `how` the stream ended: {lost} by the network, else what was said:
   * {status, error} of an answer, {code, reason} of a websocket. */
  finish(how) {
    if (this.end)
      return;
    this.end = how;
    this.#end(how);
    this.#stir();
  }

  #await(attempt, limit, what) {
    let look;
    const found = new Promise((resolve, reject) => {
      look = () => {
        const answer = attempt();
        if (answer === undefined && !this.end)
          return;
        this.#waiting.delete(look); // else the next event would be taken, too
        if (answer !== undefined)
          resolve(answer);
        else
          reject(new Error(`${this.name} ended ` +
                           `(${JSON.stringify(this.end)}) before ${what}`));
      };
      this.#waiting.add(look);
      look();
    });
    return within(limit, found, () =>
      `${this.name}: ${what}; it has ` +
      JSON.stringify(this.events.slice(-8)))
      .finally(() => this.#waiting.delete(look));
  }

  /** The next event that matches (a kind or a predicate); those before it
   * count as read. */
  next(match, limit = 8000) {
    const fits = matcher(match);
    return this.#await(() => {
      const at = this.#unread.findIndex(fits);
      return at < 0 ? undefined : this.#unread.splice(0, at + 1)[at];
    }, limit, `the next ${match ?? 'event'}`);
  }

  /** The next `n` events that match. */
  async take(n, match, limit = 15000) {
    const taken = [];
    while (taken.length < n)
      taken.push(await this.next(match, limit));
    return taken;
  }

  /** The first event ever that matches, read or not. */
  seen(match, limit = 8000) {
    const fits = matcher(match);
    return this.#await(() => this.events.find(fits), limit, `a ${match}`);
  }

  /** Events so far that match. */
  all(match) {
    return this.events.filter(matcher(match));
  }

  get texts() {
    return this.all('message').map((event) => event.body?.text);
  }

  async* [Symbol.asyncIterator]() {
    for (;;) {
      let event;
      try {
        event = await this.next(undefined, 60000);
      } catch (error) {
        if (this.end)
          return;
        throw error;
      }
      yield event;
    }
  }
}

/** Both ways: `say(text, done)` is its own, and heard() takes what comes. */
class DuplexFollower extends Follower {
  #replies = new Map();
  #id = 0;

  heard(text) {
    for (const line of text.split('\n')) {
      if (line.trim() === '')
        continue;
      const object = JSON.parse(line);
      if (object.event !== undefined) {
        this.accept(object);
        continue;
      }
      const reply = this.#replies.get(object.id);
      if (reply) {
        this.#replies.delete(object.id);
        reply.resolve(object);
      } else {
        this.accept({ ...object, event: 'error' });
      }
    }
  }

  /** A method → the reply, {id, result} or {id, error}. */
  reply(method, params = {}) {
    const id = ++this.#id;
    const answered = new Promise((resolve, reject) => {
      this.#replies.set(id, { resolve, reject });
    });
    this.say(JSON.stringify({ id, method, params }), (error) => {
      if (error)
        this.#replies.get(id)?.reject(error);
    });
    return within(10000, answered, `the reply to ${method}`);
  }

  /** No reply comes any more. */
  forsake(why) {
    for (const { reject } of this.#replies.values())
      reject(new Error(`${this.name}: ${why} before the reply`));
    this.#replies.clear();
  }
}

class WsFollower extends DuplexFollower {
  name = 'ws';

  async open() {
    const url = withQuery(`${this.options.url}/v1/ws`, this.query())
      .replace(/^http/, 'ws');
    const socket = new WebSocket(url, this.options.protocols ?? ['rung.v1'], {
      headers: this.headers,
      perMessageDeflate: false,
      ...this.options.ws,
    });
    let refused;

    this.socket = socket;
    socket.on('message', (data, binary) => this.#frame(data, binary));
    socket.on('unexpected-response', (req, res) => {
      let text = '';
      refused = { status: res.statusCode, headers: res.headers };
      res.on('data', (part) => { text += part; });
      res.on('close', () => {
        this.finish({ ...refused, error: parse(text)?.error, text });
        req.destroy();
      });
    });
    socket.on('error', (error) => {
      if (!refused)
        this.broken = error;
    });
    socket.on('close', (code, reason) => {
      this.forsake(`closed (${code})`);
      if (refused)
        return;
      this.finish(code === 1006
        ? { lost: true, code, error: this.broken }
        : { code, reason: reason.toString() });
    });
    const opened = new Promise((resolve) => socket.on('open', resolve));
    await within(10000, Promise.race([opened, this.ended]), 'the ws opens');
    if (this.options.token && this.options.patient !== false)
      await Promise.race([this.seen('hello').catch(() => {}), this.ended]);
    return this;
  }

  #frame(data, binary) {
    this.options.onFrame?.(data, binary);
    this.heard(data.toString('utf8'));
  }

  say(text, done) {
    this.socket.send(text, done);
  }

  drop() {
    this.socket.terminate();
    this.finish({ lost: true });
  }

  async close() {
    if (this.socket.readyState === WebSocket.CLOSED)
      return;
    this.socket.close(1000);
    const timer = setTimeout(() => this.socket.terminate(), 1000);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Lines over a bare socket: who it is and where it stands go into `auth`. */
class TcpFollower extends DuplexFollower {
  name = 'tcp';
  #text = '';
  #decoder = new TextDecoder('utf-8', { fatal: true });

  async open() {
    const socket = net.connect({ port: new URL(this.options.url).port,
                                 host: '127.0.0.1' });
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#bytes(bytes));
    socket.on('error', (error) => { this.broken = error; });
    socket.on('close', () => this.#closed());
    await within(10000, new Promise((resolve) => {
      socket.on('connect', resolve);
      socket.on('close', resolve);
    }), 'the socket opens');
    const { access_token: token = this.options.token, ...query } = this.query();
    if (token === undefined)
      return this;
    const hello = this.options.patient === false ? undefined
      : Promise.race([this.seen('hello').catch(() => {}), this.ended]);
    const answer = await this.reply('auth', { ...query, token })
      .catch(() => ({}));
    if (answer.error) {
      const { error } = answer;
      this.finish({ status: statuses[error.code], error });
      socket.destroy();
    }
    await hello;
    return this;
  }

  #bytes(bytes) {
    const lines = (this.#text + this.#decoder.decode(bytes, { stream: true }))
      .split('\n');
    this.#text = lines.pop();
    this.options.onLines?.(lines);
    this.heard(lines.join('\n'));
  }

  /** The last line says what a close frame would. */
  #closed() {
    const last = this.events.at(-1);
    this.forsake('closed');
    if (last?.event === 'error' && last.close !== undefined)
      this.finish({ code: last.close, reason: last.error.message,
                    error: last.error });
    else if (last?.event === 'bye')
      this.finish({ code: farewells[last.error.code], reason: last.reason });
    else
      this.finish({ lost: true, error: this.broken });
  }

  say(text, done) {
    this.socket.write(`${text}\n`, done);
  }

  drop() {
    this.finish({ lost: true });
    this.socket.destroy();
  }

  async close() {
    if (this.socket.destroyed)
      return;
    const closed = new Promise((resolve) => this.socket.on('close', resolve));
    this.socket.end();
    const timer = setTimeout(() => this.socket.destroy(), 1000);
    await closed;
    clearTimeout(timer);
  }
}

/** What the codes of `bye` are as close codes. */
const farewells = { unavailable: 1001, token_expired: 4100, not_member: 4103 };

/** Reads an event stream from bytes. An event counts only when its empty line
 * has come. */
export class EventStreamReader {
  #text = '';
  #decoder = new TextDecoder();
  lastEventId;
  comments = [];
  retry;

  constructor(onEvent) {
    this.onEvent = onEvent;
  }

  push(bytes) {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    for (;;) {
      const at = this.#text.indexOf('\n\n');
      if (at < 0)
        return;
      const block = this.#text.slice(0, at);
      this.#text = this.#text.slice(at + 2);
      this.#block(block);
    }
  }

  #block(block) {
    const data = [];
    let kind = 'message';
    let id;

    for (const line of block.split('\n')) {
      const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (field === '')
        this.comments.push(value);
      else if (field === 'data')
        data.push(value);
      else if (field === 'event')
        kind = value;
      else if (field === 'id')
        id = value;
      else if (field === 'retry')
        this.retry = Number(value);
    }
    if (id !== undefined)
      this.lastEventId = id;
    if (data.length > 0)
      this.onEvent({ kind, id, data: data.join('\n') });
    else if (id !== undefined)
      this.onEvent({ kind: undefined, id });
  }
}

/** An endless response; `this.reader`, made by start(), takes its bytes. */
class HttpStreamFollower extends Follower {
  #abort = new AbortController();

  async open() {
    const { signal } = this.#abort;
    const url = withQuery(`${this.options.url}/v1/${this.name}`, this.query());
    const opened = fetch(url, {
      headers: { ...(this.wants && { accept: this.wants }), ...this.headers },
      signal,
    });
    let response;
    try {
      response = await within(10000, opened, 'the stream opens');
    } catch (error) {
      this.finish({ lost: true, error });
      return this;
    }
    this.response = response;
    if (response.status !== 200) {
      const text = await response.text();
      this.finish({ status: response.status, error: parse(text)?.error, text,
                    headers: Object.fromEntries(response.headers) });
      return this;
    }
    this.start();
    this.#read(response.body.getReader());
    if (this.options.patient !== false)
      await Promise.race([this.seen('hello').catch(() => {}), this.ended]);
    return this;
  }

  async #read(body) {
    try {
      for (;;) {
        const { value, done } = await body.read();
        if (done)
          break;
        this.reader.push(value);
      }
      this.finish({ closed: true });
    } catch (error) {
      this.finish({ lost: true, error });
    }
  }

  drop() {
    this.finish({ lost: true });
    this.#abort.abort();
  }

  async close() {
    this.drop();
  }
}

class SseFollower extends HttpStreamFollower {
  name = 'sse';
  wants = 'text/event-stream';

  start() {
    this.reader = new EventStreamReader((item) => this.#event(item));
  }

  #event({ kind, id, data }) {
    if (kind === undefined) {
      // a heartbeat: a comment with an id line; a stock client presents it
      if (id && beyond(id, this.cursor) && this.after === undefined)
        this.cursor = id;
      this.heartbeats = (this.heartbeats ?? 0) + 1;
      return;
    }
    const event = JSON.parse(data);
    this.options.onEvent?.({ kind, id, event });
    this.accept(event);
  }
}

/** NDJSON. A line counts only when its end has come. */
class StreamFollower extends HttpStreamFollower {
  name = 'stream';
  #text = '';
  #decoder = new TextDecoder();

  start() {
    this.reader = { push: (bytes) => this.#push(bytes) };
  }

  #push(bytes) {
    const lines = (this.#text + this.#decoder.decode(bytes, { stream: true }))
      .split('\n');
    this.#text = lines.pop();
    for (const line of lines)
      this.accept(JSON.parse(line));
  }
}

/** Body parts, as a MIME parser that others wrote finds them. */
class MultipartFollower extends HttpStreamFollower {
  name = 'multipart';
  closed = false; // by the last delimiter

  start() {
    const type = this.response.headers.get('content-type');
    const [, boundary] = /; boundary=(.+)$/.exec(type);
    const parser = new Dicer({ boundary });

    parser.on('part', (part) => {
      const pieces = [];
      let headers;
      part.on('header', (found) => { headers = found; });
      part.on('data', (piece) => pieces.push(piece));
      part.on('end', () => this.#part(headers, Buffer.concat(pieces)));
    });
    parser.on('finish', () => { this.closed = true; });
    parser.on('error', (error) => this.finish({ lost: true, error }));
    this.reader = { push: (bytes) => parser.write(Buffer.from(bytes)) };
  }

  #part(headers, body) {
    this.options.onPart?.(headers, body);
    if (body.length !== Number(headers?.['content-length'][0]))
      return; // cut short
    for (const event of JSON.parse(body))
      this.accept(event);
  }
}

/** A page's scripts, found as HTML finds them: each to the first end tag,
 * whatever the script means by it. */
class IframeFollower extends HttpStreamFollower {
  name = 'iframe';
  page = '';
  #at = 0;
  #decoder = new TextDecoder();
  #window = vm.createContext({
    parent: { 'app.on$1': (events) => this.#called(events) },
  });

  query() {
    return super.query({ callback: 'app.on$1' });
  }

  start() {
    this.reader = { push: (bytes) => this.#push(bytes) };
  }

  #push(bytes) {
    this.page += this.#decoder.decode(bytes, { stream: true });
    const scripts = /<script>(.*?)<\/script/gsi;
    scripts.lastIndex = this.#at;
    for (let found; (found = scripts.exec(this.page)) !== null;) {
      this.#at = scripts.lastIndex;
      vm.runInContext(found[1], this.#window);
    }
  }

  #called(events) {
    for (const event of JSON.parse(JSON.stringify(events)))
      this.accept(event);
  }
}

class EventSourceFollower extends Follower {
  name = 'eventsource';

  async open() {
    const url = withQuery(`${this.options.url}/v1/sse`, this.query());
    const source = new EventSource(url, {
      fetch: (input, init) => fetch(input, {
        ...init,
        headers: { ...init.headers, ...this.headers },
      }),
    });
    this.source = source;
    for (const kind of kinds)
      source.addEventListener(kind, (item) => {
        if (item.data !== undefined && !this.over)
          this.accept(JSON.parse(item.data));
      });
    source.addEventListener('error', (error) => {
      if (error.data !== undefined || this.options.reconnects)
        return;
      source.close();
      this.finish(error.code ? { status: error.code } : { lost: true, error });
    });
    if (this.options.patient !== false)
      await Promise.race([this.seen('hello').catch(() => {}), this.ended]);
    return this;
  }

  drop() {
    this.source.close();
    this.finish({ lost: true });
  }

  async close() {
    this.drop();
  }
}

/** socket.io-client as it is. It comes back only as who opens it anew does. */
class SocketioFollower extends Follower {
  name = 'socketio';
  ways = ['websocket'];

  async open() {
    const { token, url } = this.options;
    this.socket = io(url, {
      transports: this.ways,
      forceNew: true,
      reconnection: false,
      timeout: 5000, // a connection that ends before its first packet: no event
      auth: { token, ...this.query() },
    });
    this.socket.onAny((kind, event, cursor) => {
      if (event.event !== kind || event.cursor !== cursor)
        this.finish({ mismatch: [kind, event, cursor] });
      else
        this.accept(event);
    });
    this.socket.on('disconnect', (reason) => this.finish(
      reason === 'io server disconnect' ? { closed: true }
        : { lost: true, reason }));
    this.socket.on('connect_error', (error) => this.finish(
      error.data ? { status: statuses[error.data.code], error: error.data }
        : { lost: true, error }));
    if (this.options.patient !== false)
      await Promise.race([this.seen('hello').catch(() => {}), this.ended]);
    return this;
  }

  /** A method as an event → what its acknowledgement says. */
  reply(method, params = {}) {
    return within(10000, this.socket.emitWithAck(method, params),
                  `the acknowledgement of ${method}`);
  }

  drop() {
    this.finish({ lost: true });
    this.socket.io.engine.close();
    this.socket.disconnect();
  }

  async close() {
    this.drop();
  }
}

class SocketioPollingFollower extends SocketioFollower {
  name = 'socketio-polling';
  ways = ['polling'];
}

class SocketioBothFollower extends SocketioFollower {
  name = 'socketio-both';
  ways = ['polling', 'websocket'];
}

class PollFollower extends Follower {
  name = 'poll';
  path = '/v1/poll';
  answers = [];
  #abort = new AbortController();
  #agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

  async open() {
    const first = this.#once();
    this.#loop(first);
    // without a cursor the first answer says where "now" is
    if (this.cursor === undefined && this.after === undefined)
      await first.catch(() => {});
    return this;
  }

  more() {
    return {};
  }

  read(answer) {
    return answer;
  }

  async #once() {
    const target = withQuery(this.options.url + this.path,
                             this.query(this.more()));
    let answer;
    try {
      answer = this.read(await request(target, { headers: this.headers,
                                                 agent: this.#agent,
                                                 signal: this.#abort.signal }));
    } catch (error) {
      this.finish({ lost: true, error });
      return undefined;
    }
    if (this.over)
      return undefined;
    this.answers.push(answer);
    if (answer.status !== 200) {
      this.finish({ status: answer.status, headers: answer.headers,
                    error: answer.json?.error, text: answer.text });
      return undefined;
    }
    this.#answered(answer.json);
    return answer.json;
  }

  #answered({ hello, events, cursor, after }) {
    if (hello)
      this.accept({ event: 'hello', ...hello });
    for (const event of events)
      this.accept(event);
    if (cursor !== undefined && (this.cursor === undefined ||
                                 beyond(cursor, this.cursor)))
      this.cursor = cursor;
    if (after !== undefined && this.after !== undefined && after > this.after)
      this.after = after;
    if (events.some((event) => event.event === 'bye'))
      this.finish({ closed: true });
  }

  async #loop(first) {
    let answer = await first;
    while (answer && !this.over) {
      if (!answer.more)
        await this.rest();
      if (!this.over)
        answer = await this.#once();
    }
  }

  /** The interval of a short poll: part of what the transport is. */
  rest() {
    return pause(this.options.interval ?? 30);
  }

  drop() {
    this.finish({ lost: true });
    this.#abort.abort();
    this.#agent.destroy();
  }

  async close() {
    this.drop();
  }
}

class LongPollFollower extends PollFollower {
  name = 'longpoll';
  path = '/v1/longpoll';

  more() {
    return { wait: this.options.wait ?? 20 };
  }

  async rest() {}
}

/** Run what a JSONP answer is, as an old page does: the arguments of the one
 * call of `callback`, whose name may be a path. */
export function callOf(text, callback) {
  const calls = [];
  const window = {};
  const path = callback.split('.');
  const last = path.pop();
  let at = window;
  for (const name of path)
    at = at[name] = {};
  at[last] = (...given) => calls.push(JSON.stringify(given));
  vm.runInNewContext(text, window);
  if (calls.length !== 1)
    throw new Error(`${calls.length} calls of ${callback} in ${text}`);
  return JSON.parse(calls[0]);
}

const statuses = { bad_request: 400, unauthorized: 401, token_expired: 401,
                   forbidden: 403, not_member: 403, not_found: 404,
                   rate_limited: 429, overloaded: 429, unavailable: 503 };

class JsonpFollower extends LongPollFollower {
  name = 'jsonp';
  path = '/v1/jsonp';

  more() {
    return { ...super.more(), callback: 'app.on$1' };
  }

  /** What the script says, as the same answer without JSONP would be. */
  read(answer) {
    if (!/^application\/javascript/.test(answer.headers['content-type']))
      return answer;
    const [json] = callOf(answer.text, 'app.on$1');
    const status = json.error ? statuses[json.error.code] : 200;
    return { ...answer, status, json };
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const kindsOfFollower = {
  ws: WsFollower,
  tcp: TcpFollower,
  sse: SseFollower,
  stream: StreamFollower,
  multipart: MultipartFollower,
  iframe: IframeFollower,
  eventsource: EventSourceFollower,
  longpoll: LongPollFollower,
  poll: PollFollower,
  jsonp: JsonpFollower,
  socketio: SocketioFollower,
  'socketio-polling': SocketioPollingFollower,
  'socketio-both': SocketioBothFollower,
};

/** Open one: options are url, token, and cursor | conversation [+ after],
 * device, limit, wait, headers, query. Resolves when the server knows where
 * this client stands: after its hello, or at once for a poll that presents a
 * cursor of its own. */
export function follow(transport, options) {
  return new kindsOfFollower[transport](options).open();
}
