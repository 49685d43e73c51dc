// The carries: ways of moving a cursor along the log, named like the server's
// transports. The only place that knows them all, and what each must provide.
// The order is that of the ladder: the first that works is the best.

import { ws } from './ws.js';
import { stream } from './stream.js';
import { sse } from './sse.js';
import { longpoll } from './longpoll.js';
import { poll } from './poll.js';
import { jsonp } from './jsonp.js';

/**
 * @typedef {object} Carry
 * @property {string} name as in the server's URL: "longpoll"
 * @property {boolean} streams true: what was received needs a `message.ack`;
 *   false: the next cursor presented says so by itself
 * @property {number} [quietMs] the longest silence this carry can have by its own rules;
 *   absent: what the server's `hello` says
 * @property {(host: Host) => string | null} [missing] what it needs and this machine lacks
 * @property {(host: Host, report: Report) => Handle} open start carrying from
 *   `host.position()` on. Calls `report` only after open() has returned.
 */

/**
 * @typedef {object} Handle one carry at work
 * @property {() => void} close stop, quietly: no report follows
 * @property {(method: string, params: object) => Promise<object>} [request] call a method
 *   on this connection; rejects with a RungError. Absent: calls go over HTTP.
 */

/**
 * @typedef {object} Report what a carry tells the session
 * @property {() => void} accepted a connection, a status 200: not yet a reason to trust
 * @property {(events: object[], cursor?: string) => void} batch events, in order; with
 *   `cursor`, all up to there has now come. The first one makes the rung live.
 * @property {(why: Why) => void} down it has ended and will not come back by itself
 */

/**
 * @typedef {{error: import('../rung/error.js').RungError, final?: boolean, unfit?: boolean}} Why
 *   final: do not reconnect as you are; unfit: this rung does not carry what we say, however
 *   long it lived
 */

/**
 * @typedef {object} Host what the session lends to a carry
 * @property {string} device
 * @property {() => object} position the parameters to go on from, read at each use:
 *   another carry may have moved the cursor meanwhile
 * @property {() => Promise<string>} token
 * @property {() => void} tokenRefused
 * @property {(path: string, params?: object) => string} url
 * @property {(method: string, params: object) => Promise<object>} post
 * @property {(path: string, params: object, options: object) => Promise<{body: object, headers: Headers}>} get
 * @property {(path: string, params: object, options: object) => Promise<void>} read an answer while it comes
 * @property {number} pollMs
 * @property {import('../rung/clock.js').Clock} clock
 * @property {typeof fetch} [fetch]
 * @property {typeof WebSocket} [WebSocket]
 * @property {typeof EventSource} [EventSource]
 */

/** @type {Record<string, Carry>} best first */
export const carries = { ws, stream, sse, longpoll, poll, jsonp };
