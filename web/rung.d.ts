// The types of rung.js. What the events and parameters mean: docs/PROTOCOL.md;
// how the ladder moves: docs/CLIENT.md.

export type RungName = 'ws' | 'stream' | 'sse' | 'longpoll' | 'poll' | 'jsonp';
export type RungState = 'untried' | 'opening' | 'live' | 'failed' | 'blocked' | 'missing';
export type ClientState = 'idle' | 'connecting' | 'online' | 'waiting' | 'stopped';
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/* ---- what comes ---- */

export interface MessageEvent {
  event: 'message';
  cursor: string;
  conversation: string;
  seq: number;
  from: string;
  client_msg_id?: string;
  ts: number;
  type: string;
  body: Json;
}

export interface ConversationEvent {
  event: 'conversation';
  cursor: string;
  conversation: string;
  short_id: number;
  seq: number;
  change: 'created' | 'invited' | 'joined' | 'left' | (string & {});
  by: string;
  ts: number;
  users?: string[];
  type?: string;
  name?: string;
  settings?: { [name: string]: Json };
}

export interface ReceiptEvent {
  event: 'receipt';
  cursor: string;
  conversation: string;
  kind: 'delivered' | 'read';
  seq: number;
  user: string;
  ts: number;
}

export interface GapEvent { event: 'gap'; cursor?: string; conversation: string; from: number; to: number; reason: string }
export interface ResetEvent { event: 'reset'; cursor: string; reason: string }
export interface HelloEvent { event: 'hello'; cursor: string; heartbeat_ms: number; ts: number; user: string }
export interface HeartbeatEvent { event: 'heartbeat'; cursor: string; ts: number }
export interface ByeEvent { event: 'bye'; reason: string; retry_after_ms?: number; error?: { code: string; message: string } }

export type LogEntry = MessageEvent | ConversationEvent;
export type WireEvent = LogEntry | ReceiptEvent | GapEvent | ResetEvent | HelloEvent | HeartbeatEvent | ByeEvent;

export interface ConversationChange { conversation: string; reason: string; event: WireEvent }
export interface TriedRung { rung: string; state: RungState; why: string }
export interface TransportChange extends TriedRung { live: string | null; tried: TriedRung[] }
export interface Rung { name: string; state: RungState; why: string; retryAt: number | null; failures: number }

export interface Status {
  /** waiting: between two rounds; stopped: the server does not want us back as we are, see `error` */
  state: ClientState;
  /** the live rung */
  transport: string | null;
  wanted: string;
  switching: boolean;
  /** among the tabs of one browser */
  role: 'alone' | 'leader' | 'follower';
  cursor: string | null;
  /** when the next round starts, in ms since the epoch */
  retryAt: number | null;
  attempt: number;
  error: RungError | null;
}

export interface Events {
  message: MessageEvent;
  conversation: ConversationEvent;
  receipt: ReceiptEvent;
  gap: GapEvent;
  reset: ResetEvent;
  hello: HelloEvent;
  heartbeat: HeartbeatEvent;
  bye: ByeEvent;
  event: WireEvent;
  ConversationChange: ConversationChange;
  transport: TransportChange;
  status: Status;
  cursor: string;
  sent: StoredMessage;
  unsent: { message: OutgoingMessage; error: RungError };
}

/* ---- what goes ---- */

export interface MessageOptions {
  /** exactly one of `to` (a user) and `conversation` */
  to?: string;
  conversation?: string;
  type?: string;
  body: Json;
  client_msg_id?: string;
  echo?: boolean;
}

export interface OutgoingMessage extends MessageOptions { client_msg_id: string; type: string }

export interface FileMessageOptions {
  to?: string;
  conversation?: string;
  file: Blob;
  name?: string;
  client_msg_id?: string;
}

export interface StoredMessage extends MessageEvent { short_id?: number; duplicate?: boolean }

export interface HistoryPage { messages: LogEntry[]; first_seq: number; last_seq: number; more: boolean }

export interface ConversationSummary {
  conversation: string;
  type: string;
  short_id: number;
  name?: string;
  last_seq: number;
  read_seq: number;
  unread: number;
  last_message: LogEntry | null;
  muted: boolean;
  pinned: boolean;
  members?: { user: string; role: string; read_seq: number; delivered_seq: number }[];
  [more: string]: unknown;
}

/* ---- the client ---- */

export interface KeyValue { getItem(key: string): string | null; setItem(key: string, value: string): void }
export interface Clock { now(): number; after(ms: number, fn: () => void): unknown; cancel(timer: unknown): void }

export interface Options {
  /** e.g. "https://chat.example"; default: the page's own */
  url?: string;
  token?: string;
  /** asked for the first token when none is given, and for a new one when the old is refused */
  getToken?: () => Promise<string>;
  user?: string;
  device?: string;
  /** default "auto": the ladder */
  transport?: 'auto' | RungName;
  /** "0": from the first kept entry; absent: what is remembered, else from now on */
  cursor?: string | null;
  /** follow this one conversation by seq instead of everything by cursor */
  follow?: { conversation: string; after: number };
  /** remembers cursor and unsent messages instead of the cache, e.g. sessionStorage */
  storage?: KeyValue;
  storageKey?: string;
  /** default: IndexedDB where there is one, else memory; false, or with `storage`: memory */
  cache?: boolean;
  /** remembers which rungs worked; default localStorage where there is one */
  memory?: KeyValue;
  /** names the network we are on; default: what the browser knows of it */
  network?: () => string;
  /** share one stream among the tabs of a browser; default true where that is possible */
  tabs?: boolean;
  pollMs?: number;
  fetch?: typeof fetch;
  WebSocket?: unknown;
  EventSource?: unknown;
  clock?: Clock;
  random?: () => number;
}

export class RungError extends Error {
  readonly code: string;
  readonly status?: number;
  readonly retryAfterMs?: number;
  /** of a conflict: the next client_seq */
  readonly expected?: number;
  /** asking again can help */
  readonly retryable: boolean;
}

export class RungClient {
  constructor(options?: Options);
  user: string | null;
  readonly device: string;
  readonly cursor: string | null;
  readonly status: Status;
  readonly rungs: Rung[];
  /** given to sendMessage() and not yet stored */
  readonly pending: OutgoingMessage[];
  /** what was remembered has been read: `cursor` and `pending` are complete */
  readonly ready: Promise<void>;

  on<Name extends keyof Events>(name: Name, listener: (value: Events[Name]) => void): () => void;
  on(name: string, listener: (value: any) => void): () => void;

  /** Only with a server started with --demo. */
  login(user: string): Promise<{ token: string; user: string; app: string; expires_ms: number }>;
  start(): void;
  close(): void;

  setTransport(name: 'auto' | RungName): Promise<void>;
  blockRung(name: RungName, blocked?: boolean): void;
  climb(): void;
  retryNow(): void;

  createMessage(message: MessageOptions): OutgoingMessage;
  /** Uploads the file; rejects with `unsupported` while the server keeps no media. */
  createFileMessage(message: FileMessageOptions): Promise<OutgoingMessage>;
  newMessageId(): string;
  /** Resolves when it is stored; until then it is tried again, over reloads too. */
  sendMessage(message: MessageOptions): Promise<StoredMessage>;
  /** Read up to `seq`; without it: all that has come. */
  markConversationRead(conversation: string, seq?: number): Promise<{ conversation: string; seq: number }>;

  /** Newest first, from below `before` (default: from the newest). */
  messagesBefore(conversation: string, before?: number): AsyncIterableIterator<LogEntry>;
  /** Oldest first, from above `after` (default: from the first) to the newest. */
  messagesAfter(conversation: string, after?: number): AsyncIterableIterator<LogEntry>;
  history(params: { conversation: string; before?: number; after?: number; limit?: number }): Promise<HistoryPage>;

  list(params?: { before?: string; limit?: number }): Promise<{ conversations: ConversationSummary[]; more: boolean; before?: string }>;
  getConversation(conversation: string): Promise<ConversationSummary>;
  createConversation(params: { type: 'group' | 'channel'; name?: string; id?: string; members?: string[]; settings?: object }): Promise<ConversationSummary>;
  invite(conversation: string, users: string[]): Promise<object>;
  join(conversation: string): Promise<object>;
  leave(conversation: string): Promise<object>;
  /** A second client, with the same identity, that follows one conversation by seq. */
  follow(conversation: string, after: number): RungClient;
  /** Stop, and forget what this device has kept: cursor, entries, unsent messages. */
  forget(): Promise<void>;
  /** Any method of docs/PROTOCOL.md; rejects with a RungError. */
  call(method: string, params?: object): Promise<any>;
}
