// Tokens signed here, so that a test decides every claim.

import { createHmac } from 'node:crypto';

const part = (value) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value))
    .toString('base64url');

export function sign(claims, secret, { alg = 'HS256' } = {}) {
  const text = `${part({ alg, typ: 'JWT' })}.${part(claims)}`;
  const mac = createHmac('sha256', secret).update(text).digest('base64url');
  return `${text}.${mac}`;
}

/** A token of `sub` in `app`, good for `ttl` seconds. */
export function token({ app, sub, secret, ttl = 3600, ...claims }) {
  const now = Math.floor(Date.now() / 1000);
  return sign({ sub, app, iat: now, exp: now + ttl, ...claims }, secret);
}
