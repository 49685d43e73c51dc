// Plain HTTP, as bytes: one request, one whole answer.

import http from 'node:http';
import net from 'node:net';
import { ms } from './wait.mjs';

/** Gives {status, headers, body: Buffer, text, json}; `json` is undefined when
 * the body is not JSON. A connection that breaks before the end rejects. */
export function request(url, { method = 'GET', headers = {}, body, agent,
                               signal } = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request(url, { method, headers, agent, signal }, (res) => {
      const parts = [];
      res.on('data', (part) => parts.push(part));
      res.on('error', reject);
      res.on('aborted', () => reject(new Error('answer cut short')));
      res.on('end', () => {
        const bytes = Buffer.concat(parts);
        const text = bytes.toString('utf8');
        let json;
        try {
          json = JSON.parse(text);
        } catch {
          json = undefined;
        }
        resolve({ status: res.statusCode, headers: res.headers, body: bytes,
                  text, json });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** What the server refused, as its error object says it. */
export class Refusal extends Error {
  constructor(method, status, error) {
    super(`${method}: ${status ?? ''} ${error?.code}: ${error?.message}`);
    this.status = status;
    this.code = error?.code;
    this.text = error?.message;
    this.retryAfterMs = error?.retry_after_ms;
    this.expected = error?.expected;
  }
}

/** POST /v1/<method>; the result, or a Refusal. */
export async function call(base, method, params = {}, { token, agent, query,
                                                        headers } = {}) {
  const body = Buffer.from(JSON.stringify(params));
  const answer = await request(withQuery(`${base}/v1/${method}`, query), {
    method: 'POST',
    agent,
    body,
    headers: {
      'content-type': 'application/json',
      'content-length': body.length,
      ...(token && { authorization: `Bearer ${token}` }),
      ...headers,
    },
  });
  if (answer.status !== 200 || answer.json?.error)
    throw new Refusal(method, answer.status,
                      answer.json?.error ?? { message: answer.text });
  return answer.json;
}

export function withQuery(url, query = {}) {
  const u = new URL(url);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined)
      u.searchParams.set(name, String(value));
  return u.href;
}

/** Write `bytes` to the port as they are; everything that comes back until the
 * server closes (or, with `until`, until that text was seen). */
export function raw(port, bytes, { until, limit = 5000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server neither closed nor sent ` +
                       `${until ?? 'an end'}; so far: ${text}`));
    }, ms(limit));
    const done = (closed) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ text, closed });
    };
    socket.setEncoding('latin1');
    socket.on('data', (part) => {
      text += part;
      if (until && text.includes(until))
        done(false);
    });
    socket.on('end', () => done(true));
    socket.on('error', (error) => {
      clearTimeout(timer);
      if (text)
        resolve({ text, closed: true });
      else
        reject(error);
    });
  });
}
