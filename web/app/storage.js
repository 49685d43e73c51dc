// What a page keeps for as long as its tab lives. Several people may share a tab, each
// in a frame with a name: so every key begins with that name. Where the browser lets
// nothing be kept (a frame on somebody else's page), it is kept in memory.

function memory() {
  const map = new Map();
  return {
    getItem: (key) => map.get(key) ?? null,
    setItem: (key, value) => map.set(key, String(value)),
    removeItem: (key) => map.delete(key),
    key: (i) => [...map.keys()][i] ?? null,
    get length() {
      return map.size;
    },
  };
}

function kept() {
  try {
    sessionStorage.getItem('');
    return sessionStorage;
  } catch {
    return memory();
  }
}

/** @param {string} name of the frame; "" for the page itself */
export function storageOf(name, base = kept()) {
  const key = (rest) => `${name}/${rest}`;
  return {
    getItem: (rest) => base.getItem(key(rest)),
    setItem: (rest, value) => base.setItem(key(rest), value),
    removeItem: (rest) => base.removeItem(key(rest)),
    clear() {
      const all = Array.from({ length: base.length }, (_, i) => base.key(i));
      for (const one of all) if (one.startsWith(`${name}/`)) base.removeItem(one);
    },
  };
}
