// English is written where it is said, and is its own key; another language is a
// table of those sentences. Asked for in the address, else chosen, else the
// browser's. A change loads the page anew: the cursor makes that free.

import { zh } from './chinese.js';

const TABLES = { en: {}, zh };
const KEY = 'rung.language';
const SPOKEN = ['aria-label', 'title', 'placeholder'];

function remembered() {
  try {
    return globalThis.localStorage?.getItem(KEY);
  } catch {
    return null; // a frame on somebody else's page may keep nothing
  }
}

function pick() {
  const asked = globalThis.location ? new URLSearchParams(location.search).get('lang') : null;
  const wished = asked ?? remembered() ?? (globalThis.document ? navigator.language : 'en');
  return wished.toLowerCase().startsWith('zh') ? 'zh' : 'en';
}

export const language = pick();
/** For dates and numbers: what the browser prefers, within the language. */
export const locale = language === 'zh' ? 'zh-CN' : undefined;

/** @param {'en' | 'zh'} code */
export function chooseLanguage(code) {
  localStorage.setItem(KEY, code);
  location.reload();
}

/** @param {string} sentence with {names} @param {Record<string, any>} [values] */
export function t(sentence, values = {}) {
  const said = TABLES[language][sentence] ?? sentence;
  return said.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** What the HTML says: the texts of [data-t], and every spoken attribute. */
export function translate(root = document) {
  if (language === 'en') return;
  document.documentElement.lang = language === 'zh' ? 'zh-Hans' : language;
  for (const element of root.querySelectorAll('[data-t]')) element.textContent = t(element.textContent.trim());
  for (const name of SPOKEN)
    for (const element of root.querySelectorAll(`[${name}]`)) element.setAttribute(name, t(element.getAttribute(name)));
}

/** Frames of a page change with it. */
if (globalThis.document)
  addEventListener('storage', ({ key }) => key === KEY && location.reload());
