// The stock Python client, where Debian's is installed (python3-socketio,
// python3-requests, python3-websocket).

import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { givenServer, oursOnly } from './given.mjs';

const PYTHON = process.env.RUNG_PYTHON ?? '/usr/bin/python3';
const program = fileURLToPath(new URL('client.py', import.meta.url));

const skip = spawnSync(PYTHON, ['-c', 'import socketio, requests, websocket'])
  .status !== 0 && `${PYTHON} has no socketio, requests and websocket`;

let server;

before(async () => {
  if (!skip)
    server = await givenServer({ recovery: 'off' });
});
after(() => server?.finish());

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']])
  test(`on ${transports.join(' and ')}`, { skip, timeout: 120_000 }, async () => {
    const { stderr } = await promisify(execFile)(
      PYTHON, [program, server.url, oursOnly.skip ? '10' : '1000', ...transports]);
    assert.doesNotMatch(stderr, /Traceback/, stderr);
  });
