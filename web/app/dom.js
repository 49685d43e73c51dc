// Elements from plain values. Text only ever becomes a text node, so nothing that
// a user wrote can turn into markup.

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] functions become listeners ("onclick"), the rest attributes;
 *   null, undefined and false are left out
 * @param {...(Node | string | null)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} id */
export function byId(id) {
  return document.getElementById(id);
}

const HUES = 10;

function hueOf(name) {
  let hash = 2166136261; // FNV-1a
  for (const char of name) hash = Math.imul(hash ^ char.codePointAt(0), 16777619) >>> 0;
  return (hash >>> 8) % HUES;
}

function initials(name) {
  const words = name.split(/[^\p{L}\p{N}]+/u).filter(Boolean);
  const letters = words.length > 1 ? words[0][0] + words[1][0] : [...(words[0] ?? '?')].slice(0, 2).join('');
  return letters.toUpperCase();
}

/** @param {string} name @param {'p2p'|'group'|'channel'} [type] */
export function avatar(name, type = 'p2p') {
  return h('span', { class: `avatar hue-${hueOf(name)} ${type}`, 'aria-hidden': 'true' },
    type === 'channel' ? '#' : initials(name));
}

/**
 * Make the children of `parent` the elements that `make` gives for `rows`, keeping
 * those of the same key, so focus, selection and scrolling survive.
 * @param {Element} parent
 * @param {{key: string, version: string}[]} rows a row of another version is made anew
 * @param {(row: any) => Element} make
 */
export function reconcile(parent, rows, make) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = parent.firstElementChild;
  for (const row of rows) {
    let child = old.get(row.key);
    if (!child || child.dataset.version !== row.version) {
      const fresh = make(row);
      fresh.dataset.key = row.key;
      fresh.dataset.version = row.version;
      if (child) {
        if (child === place) place = fresh;
        child.replaceWith(fresh);
      }
      child = fresh;
    }
    old.delete(row.key);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const [key, child] of old) if (!rows.some((row) => row.key === key)) child.remove();
}
