// Signing in by a QR code, from both sides: a page that shows one and waits by long
// poll for a phone to agree, and the phone that is asked. docs/PROTOCOL.md, "Signing
// in by a code".

import { qrcode } from '../vendor/qrcode.js';
import { byId } from './dom.js';
import { t } from './language.js';
import { attempt, toast } from './toast.js';

const CODE = /^#login=([0-9a-f]{32})$/;
const PAUSE_MS = 1000; // before asking again after a failure
const QUIET = 4; // modules of white around a code: ISO/IEC 18004, 9.1

async function post(method, params, signal) {
  const answer = await fetch(`/v1/${method}`, { method: 'POST', body: JSON.stringify(params), signal });
  const json = await answer.json();
  if (!json.error) return json;
  throw Object.assign(new Error(json.error.message), { code: json.error.code });
}

/** What this device calls itself to the one that is asked. */
function deviceName(agent = navigator.userAgent) {
  const browser = /Firefox|Edg|Chrome|Safari/.exec(agent)?.[0] ?? 'A browser';
  const system = /Android|iPhone|iPad|Windows|Mac OS|Linux/.exec(agent)?.[0];
  return system ? `${browser.replace('Edg', 'Edge')}, ${system}` : browser;
}

/** @param {string} text @returns {SVGElement} dark on light, whatever the page's colours */
export function qrImage(text) {
  const code = qrcode(0, 'M');
  code.addData(text);
  code.make();
  const size = code.getModuleCount();
  let path = '';
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) if (code.isDark(y, x)) path += `M${x} ${y}h1v1h-1z`;
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', `${-QUIET} ${-QUIET} ${size + 2 * QUIET} ${size + 2 * QUIET}`);
  svg.setAttribute('shape-rendering', 'crispEdges');
  svg.append(document.createElementNS(svg.namespaceURI, 'path'));
  svg.firstChild.setAttribute('d', path);
  return svg;
}

/* ---- the page that shows a code ---- */

function show(shown) {
  const url = `${location.origin}/chat.html#login=${shown.code}`;
  const link = document.createElement('a');
  link.href = url;
  link.target = '_blank';
  link.setAttribute('aria-label', t('Open the sign-in link in another tab'));
  link.append(qrImage(url));
  byId('qr-code').replaceChildren(link);
  const local = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  byId('qr-hint').textContent = local
    ? t('A phone cannot reach {host}: open this page by the name of this machine, or press the code to play the phone in another tab.', { host: location.host })
    : t('Scan it with the camera of a phone, sign in there, and agree.');
}

const SENTENCES = {
  new: () => t('Waiting for a phone…'),
  seen: ({ user }) => t('{user} has scanned it and is asked…', { user }),
  refused: () => t('It was refused.'),
};

/* One code, until it has led somewhere: the answer, or null when its time is over. */
async function follow(shown, signal) {
  let state = 'new';
  byId('qr-state').textContent = SENTENCES.new();
  while (state !== 'approved' && state !== 'refused') {
    try {
      const answer = await post('login.wait', { ...shown, state }, signal);
      state = answer.state;
      if (state === 'approved') return answer;
      byId('qr-state').textContent = SENTENCES[state](answer);
    } catch (error) {
      if (signal.aborted || error.code === 'not_found') return null; // another code, then
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
  return null;
}

async function showCodes(signal) {
  while (!signal.aborted) {
    try {
      const { code, secret } = await post('login.begin', { name: deviceName() }, signal);
      show({ code });
      const answer = await follow({ code, secret }, signal);
      if (answer) return answer;
    } catch (error) {
      if (!signal.aborted) byId('qr-state').textContent = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return null;
}

/** @param {(answer: {user: string, token: string}) => void} signIn */
export function setUpQr(signIn) {
  let ending = null;
  const turn = (shown) => {
    byId('qr-card').hidden = !shown;
    byId('login-form').hidden = shown;
  };
  byId('qr-open').onclick = async () => {
    ending = new AbortController();
    turn(true);
    byId('qr-back').focus();
    const answer = await showCodes(ending.signal);
    if (answer) signIn(answer);
  };
  byId('qr-back').onclick = () => {
    ending?.abort();
    turn(false);
    byId('qr-open').focus();
  };
}

/* ---- the phone ---- */

export const isAsked = () => CODE.test(location.hash);

/** Ask the user, who is signed in here, about the code in the address. */
export async function askAbout(client) {
  const [, code] = CODE.exec(location.hash);
  history.replaceState(null, '', location.pathname + location.search); // good once: nothing to keep
  const about = await attempt(t('Could not read the code'), () => client.call('login.read', { code }));
  if (!about) return;
  const dialog = byId('approve-dialog');
  byId('approve-text').textContent = t('{name} wants to sign in as {user}.', { name: about.name ?? t('A device'), user: client.user });
  byId('approve-form').onsubmit = async ({ submitter }) => {
    const method = submitter?.value === 'yes' ? 'login.approve' : 'login.refuse';
    if (await attempt(t('Could not answer'), () => client.call(method, { code })))
      toast(method === 'login.approve' ? t('The device is signed in.') : t('The device was refused.'));
  };
  dialog.showModal();
}
