// WebSocket: one connection for events, calls and their answers. The token goes
// into the first frame, so it is in no URL and no access log.

import { RungError } from '../rung/error.js';

const TOO_LARGE = 1009;
const UNFIT = new Set([1002, 1003, 1007, 1008, TOO_LARGE]); // this rung does not carry what we say

/** @type {import('./table.js').Carry} */
export const ws = {
  name: 'ws',
  streams: true,
  missing: (host) => (host.WebSocket ? null : 'no WebSocket here'),

  open(host, report) {
    const asked = new Map(); // id → {resolve, reject, frame}
    let socket = null;
    let token = null;
    let lastId = 0;
    let closed = false;

    function request(method, params) {
      return new Promise((resolve, reject) => {
        if (socket?.readyState !== 1) {
          reject(new RungError('disconnected', 'the connection is closed'));
          return;
        }
        const id = ++lastId;
        const frame = JSON.stringify({ id, method, params });
        asked.set(id, { resolve, reject, frame });
        socket.send(frame);
      });
    }

    function answer({ id, result, error }) {
      const call = asked.get(id);
      asked.delete(id);
      if (error) call?.reject(RungError.from(error));
      else call?.resolve(result);
    }

    function authenticate() {
      report.accepted();
      request('auth', { token, device: host.device, ...host.position() }).catch((error) => {
        if (error.wantsToken) host.tokenRefused();
        report.down({ error });
      });
    }

    /* A frame is one or more JSON objects, one a line. */
    function receive({ data }) {
      const events = [];
      try {
        for (const line of data.split('\n')) {
          if (line.trim() === '') continue;
          const object = JSON.parse(line);
          if (object.event) events.push(object);
          else answer(object);
        }
      } catch (cause) {
        report.down({ error: new RungError('disconnected', 'a frame was not JSON', { cause }) });
        return;
      }
      if (events.length > 0) report.batch(events);
    }

    function ended({ code, reason }) {
      const error = goodbye(code, reason);
      if (error.wantsToken) host.tokenRefused();
      if (code === TOO_LARGE) refuseLargest();
      forsake(error.message);
      report.down({ error, final: isFinal(code), unfit: UNFIT.has(code) });
    }

    /* The close does not say which call it is for; sent again, it would close the next one. */
    function refuseLargest() {
      const size = ({ frame }) => new TextEncoder().encode(frame).length;
      const largest = [...asked.values()].sort((a, b) => size(b) - size(a))[0];
      largest?.reject(new RungError('too_large', 'the message is larger than the server takes'));
    }

    function forsake(message) {
      for (const { reject } of asked.values()) reject(new RungError('disconnected', message));
      asked.clear();
    }

    host.token().then((current) => {
      if (closed) return;
      token = current;
      socket = new host.WebSocket(host.url('/v1/ws').replace(/^http/, 'ws'), 'rung.v1');
      socket.onopen = authenticate;
      socket.onmessage = receive;
      socket.onclose = ended;
      socket.onerror = () => {}; // a close always follows, and says more
    }).catch((error) => report.down({ error }));

    return {
      request,
      close() {
        closed = true;
        socket?.close(1000);
        forsake('the connection is being closed');
      },
    };
  },
};

/* 4100–4199: do not come back as you are; the reason may be an error code, such as
 * token_expired, that says what to change. After every other code, come back. */
function isFinal(code) {
  return code >= 4100 && code <= 4199;
}

function goodbye(code, reason) {
  const text = `the connection was closed (${code}${reason ? `, ${reason}` : ''})`;
  if (!isFinal(code)) return new RungError('disconnected', text);
  return new RungError(/^[a-z_]+$/.test(reason) ? reason : 'forbidden', text);
}
