// Short notices of what went wrong, gone by themselves.

import { byId, h } from './dom.js';

const SHOWN_MS = 6_000;

/** @param {string} text */
export function toast(text) {
  const notice = h('div', { class: 'toast', onclick: () => notice.remove() }, text);
  byId('toasts').append(notice);
  setTimeout(() => notice.remove(), SHOWN_MS);
}

/** Do `work`; what goes wrong is told, with what was tried. */
export async function attempt(what, work) {
  try {
    return await work();
  } catch (error) {
    toast(`${what}: ${error.message}`);
    return undefined;
  }
}
