// Moments in a page's life at which what it believes of its network may be wrong: seen
// again, taken from the back/forward cache, online, on another network.

/** @param {() => void} woken @returns {() => void} stop listening */
export function onWake(woken) {
  const { document, navigator } = globalThis;
  const visible = () => document.visibilityState === 'visible' && woken();
  const shown = ({ persisted }) => persisted && woken();
  const listeners = [
    [document, 'visibilitychange', visible],
    [document && globalThis, 'pageshow', shown],
    [document && globalThis, 'online', woken],
    [navigator?.connection, 'change', woken],
  ].filter(([target]) => target?.addEventListener);
  for (const [target, name, listener] of listeners) target.addEventListener(name, listener);
  return () => {
    for (const [target, name, listener] of listeners) target.removeEventListener(name, listener);
  };
}
