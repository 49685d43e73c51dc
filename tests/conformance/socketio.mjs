// Socket.IO by hand, on a Channel or a Polling session of engine.mjs.

import assert from 'node:assert/strict';
import { Channel, Polling } from './engine.mjs';

export const SOCKETIO = '/socket.io/';

/** A connection without a namespace. */
export const open = (server, query) =>
  Channel.open(server, { path: SOCKETIO, ...query });
export const openPolling = (server, query) =>
  Polling.open(server, { path: SOCKETIO, ...query });

const prefix = (space) => space === '/' ? '' : `${space},`;

/** Join a namespace: its CONNECT is answered, and `auth` has come. The answer
 * is returned. */
export async function join(channel, space = '/', auth) {
  await channel.send(`40${prefix(space)}${auth ? JSON.stringify(auth) : ''}`);
  const answer = await channel.next();
  assert.ok(answer?.startsWith(`40${prefix(space)}{`), answer);
  assertEvent(await channel.next(), space, ['auth', auth ?? {}]);
  return JSON.parse(answer.slice(2 + prefix(space).length));
}

/** Text is an event of a namespace with those arguments; no more. */
export function assertEvent(text, space, args) {
  const begin = `42${prefix(space)}`;
  assert.ok(text?.startsWith(`${begin}[`), text);
  assert.deepEqual(JSON.parse(text.slice(begin.length)), args);
}

/** A connection in a namespace. */
export async function joined(server, space, auth) {
  const channel = await open(server);
  channel.answer = await join(channel, space, auth);
  return channel;
}

/** It still says what it is told. */
export async function echoes(channel, space = '/') {
  await channel.send(`42${prefix(space)}["message","are you there?"]`);
  assertEvent(await channel.next(), space, ['message-back', 'are you there?']);
}
