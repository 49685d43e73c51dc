// The chat as a window on somebody else's page: what is said between the two, by
// postMessage. The page gives a token and says what to open; it hears what a badge
// shows and why a token was refused, and gives another. It sees nothing of what is
// written here: this is another origin's document.
//
// From here:  {rung: 'ready'}, {rung: 'state', unread}, {rung: 'refused', why}, {rung: 'token'}
// From there: {rung: 'open', token, app, to, conversation}, {rung: 'token', token}

/* Who may frame us at all is the server's decision (frame-ancestors); of those, only the
 * page right around us is listened to. */
function heard(host, kind) {
  return new Promise((resolve) => {
    const listen = ({ source, data }) => {
      if (source !== host || data?.rung !== kind) return;
      removeEventListener('message', listen);
      resolve(data);
    };
    addEventListener('message', listen);
  });
}

const told = new Map();

/** Nothing that is said is a secret, so any page that may frame us may hear it. */
export function announceTo(host, { unread, refused }) {
  if (host === window || !new URLSearchParams(location.search).has('embed')) return;
  if (refused !== undefined) host.postMessage({ rung: 'refused', why: refused }, '*');
  if (unread === undefined || told.get('unread') === unread) return;
  told.set('unread', unread);
  host.postMessage({ rung: 'state', unread }, '*');
}

/** Wait for what the page around us asks for: an identity, and what to open. */
export async function askedByHost(host) {
  const opening = heard(host, 'open');
  host.postMessage({ rung: 'ready' }, '*');
  const { token, app, to, conversation } = await opening;
  return {
    token,
    app,
    to,
    conversation,
    getToken: async () => {
      const renewed = heard(host, 'token');
      host.postMessage({ rung: 'token' }, '*');
      return (await renewed).token;
    },
  };
}
