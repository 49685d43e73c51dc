// The server that the suite talks to: build/tests/conformance_server, or what
// CONFORMANCE_SERVER names ("node tests/conformance/oracle.mjs"), which takes
// the same arguments; and the clients that end with their test.

import path from 'node:path';
import { Server, RUNG_BIN } from '../lib/server.mjs';

const other = process.env.CONFORMANCE_SERVER?.split(' ');
const BIN = path.join(path.dirname(RUNG_BIN), 'tests', 'conformance_server');

/** For tests that the issue wants and the original does otherwise. */
export const oursOnly = { skip: other ? 'ours only' : false };

/** What the suite asks for, unless a test says otherwise: pings soon enough to
 * be waited for, and far enough apart to stay out of the way. */
export const PING_INTERVAL = 300;
export const PING_TIMEOUT = 1500; /* a client may be kept from answering */
export const MAX_PAYLOAD = 100000;

class Target extends Server {
  command() {
    const [program, ...before] = other ?? [BIN];
    return [program, [...before, '--port', String(this.port), ...this.args]];
  }
}

/** `options` are flags without their dashes: {recovery: 'on'}; `env` is besides
 * what the suite sets. */
export function givenServer(options = {}, env = {}) {
  return Target.start({
    args: Object.entries(options)
      .flatMap(([name, value]) => [`--${name}`, String(value)]),
    env: { RUNG_CONNECTION_RATE: '1000000', RUNG_USER_RATE: '1000000',
           ...env },
  });
}
