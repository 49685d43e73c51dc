// JSONP: long polls and calls as script tags, for pages whose fetch does not get through
// (another origin without CORS, a policy, something that blocks it) or is not there. A
// script tag cannot send a header, so the token stands in the URL: the last resort.

import { RungError } from '../rung/error.js';

const WAIT_S = 25;
const GRACE_MS = 10_000;
const MAX_URL = 8_000; // characters: servers, and proxies before them, take no longer request line
const CALL_MS = 15_000;
const EMPTY_ANSWER_MS = 1_000; // an empty answer sooner than this did not wait

let lastCallback = 0;

/* Load `path` as a script that calls us back; its argument, or a RungError. */
function load(host, path, params, ms, signal) {
  const { document } = globalThis;
  const script = document.createElement('script');
  const callback = `__rung${++lastCallback}`;
  let timer = null;

  return host.token().then((access_token) => new Promise((resolve, reject) => {
    const fail = (code, text) => reject(new RungError(code, text));
    globalThis[callback] = (answer) => {
      delete globalThis[callback];
      if (answer.error) reject(RungError.from(answer.error));
      else resolve(answer);
    };
    timer = host.clock.after(ms, () => fail('timeout', `no answer in ${ms} ms`));
    signal?.addEventListener('abort', () => fail('disconnected', 'closed'), { once: true });
    script.onerror = () => fail('network', 'the script was not loaded');
    const url = host.url(path, { callback, access_token, ...params });
    if (url.length > MAX_URL) return fail('too_large', `a URL of ${url.length} characters: no more than ${MAX_URL} are carried`);
    script.src = url;
    document.head.append(script);
  })).catch((error) => {
    if (error.wantsToken) host.tokenRefused();
    throw error;
  }).finally(() => {
    host.clock.cancel(timer);
    script.remove();
    if (globalThis[callback]) globalThis[callback] = () => delete globalThis[callback]; // it may still come
  });
}

/** @type {import('./table.js').Carry} */
export const jsonp = {
  name: 'jsonp',
  streams: false,
  quietMs: WAIT_S * 1000 + 2 * GRACE_MS,
  missing: () => (globalThis.document?.createElement ? null : 'no page here'),

  open(host, report) {
    const abort = new AbortController();
    const { clock, device } = host;

    async function ask(wait) {
      const asked = clock.now();
      const body = await load(host, '/v1/jsonp', { ...host.position(), wait, device },
        wait * 1000 + GRACE_MS, abort.signal);
      if (abort.signal.aborted) return;
      report.batch(body.events, body.cursor);
      if (wait > 0 && body.events.length === 0 && clock.now() - asked < EMPTY_ANSWER_MS)
        await new Promise((resume) => clock.after(EMPTY_ANSWER_MS, resume));
    }

    async function loop() {
      await ask(0);
      while (!abort.signal.aborted) await ask(WAIT_S);
    }

    loop().catch((error) => {
      if (!abort.signal.aborted) report.down({ error });
    });

    return {
      close: () => abort.abort(),
      request: (method, params) => load(host, `/v1/jsonp/${method}`,
        { params: JSON.stringify(params), device }, CALL_MS),
    };
  },
};
