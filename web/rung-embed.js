// A chat window on any page, by one line:
//
//   <script src="https://chat.example/rung-embed.js" data-app="shop" data-token="…" async></script>
//
// docs/EMBED.md has the options. The window is a frame of the server's own origin, so the
// page's styles and scripts cannot reach into it; what this script itself puts on the
// page is in a closed shadow root, and its place there is held by inline !important.
// No library, no global but `RungEmbed`, nothing evaluated, no markup parsed, so that a
// strict Content-Security-Policy needs to name only the server, as script-src and frame-src.

(function () {
  'use strict';

  var script = document.currentScript;
  if (!script) throw new Error('rung-embed.js must be a classic script of its own');
  var options = script.dataset;
  var server = new URL(options.server || script.src, location.href).origin;

  /* ---- what the page sees ---- */

  var OUTSIDE = {
    all: 'initial', position: 'fixed', inset: 'auto 20px 20px auto', 'z-index': '2147483000',
    display: 'block', width: 'auto', height: 'auto', margin: '0', padding: '0', border: '0',
    opacity: '1', visibility: 'visible', transform: 'none', filter: 'none', 'pointer-events': 'auto',
  };
  var INSIDE = { position: 'relative', inset: 'auto', width: '100%', height: options.height || '560px' };

  function pin(element, styles) {
    Object.keys(styles).forEach(function (name) {
      element.style.setProperty(name, styles[name], 'important');
    });
  }

  function dress(element, styles) {
    pin(element, styles);
    return element;
  }

  var INK = { light: ['#ffffff', '#d5d9e2'], dark: ['#191d25', '#2a303b'] };
  var dark = options.theme === 'dark' ||
    (options.theme !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
  var title = options.title || 'Chat';
  var inline = null; // the place on the page, once it is found

  var host = dress(document.createElement('div'), OUTSIDE);
  if (options.position === 'left') pin(host, { inset: 'auto auto 20px 20px' });
  var root = host.attachShadow({ mode: 'closed' });

  /* ---- the frame ---- */

  var frame = document.createElement('iframe');
  var query = new URLSearchParams({ embed: '' });
  if (options.lang) query.set('lang', options.lang);
  query.set('theme', dark ? 'dark' : 'light');
  frame.title = title;
  frame.allow = 'clipboard-write';
  frame.referrerPolicy = 'origin';
  dress(frame, {
    display: 'block', width: 'min(390px, calc(100vw - 40px))', height: 'min(640px, calc(100vh - 120px))', border: '1px solid ' + INK[dark ? 'dark' : 'light'][1],
    'border-radius': '16px', background: INK[dark ? 'dark' : 'light'][0],
    'box-shadow': '0 16px 48px rgb(20 28 50 / 28%)', 'color-scheme': 'normal',
  });

  var token = options.token;
  var wanted = false; // a new token is
  var loaded = false;

  function post(message) {
    frame.contentWindow.postMessage(message, server); // the token goes to nobody else
  }

  function tell(name, detail) {
    script.dispatchEvent(new CustomEvent(name, { detail: detail, bubbles: true }));
  }

  function setToken(fresh) {
    token = fresh;
    if (wanted) post({ rung: 'token', token: token });
    wanted = false;
  }

  addEventListener('message', function (event) {
    if (event.source !== frame.contentWindow || event.origin !== server) return;
    var data = event.data || {};
    if (data.rung === 'ready')
      post({ rung: 'open', token: token, app: options.app, to: options.to, conversation: options.conversation });
    else if (data.rung === 'state') badge(data.unread);
    else if (data.rung === 'refused') tell('rung-refused', { why: data.why });
    else if (data.rung === 'token') {
      wanted = true;
      tell('rung-token', { setToken: setToken });
    }
  });

  /* ---- the button ---- */

  var button = document.createElement('button');
  var count = document.createElement('span');
  var shown = false;

  function drawing(path) {
    var svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    var line = document.createElementNS(svg.namespaceURI, 'path');
    svg.setAttribute('viewBox', '0 0 24 24');
    svg.setAttribute('aria-hidden', 'true');
    dress(svg, { width: '26px', height: '26px', fill: 'none', stroke: 'currentColor', 'stroke-width': '2',
      'stroke-linecap': 'round', 'stroke-linejoin': 'round' });
    line.setAttribute('d', path);
    svg.append(line);
    return svg;
  }

  var speech = drawing('M20 12a7.5 7.5 0 0 1-11 6.6L4 20l1.4-4.6A7.5 7.5 0 1 1 20 12z');
  var cross = drawing('M6 6l12 12M18 6L6 18');

  function badge(unread) {
    count.textContent = unread > 99 ? '99+' : String(unread);
    count.style.setProperty('display', unread > 0 && !shown ? 'block' : 'none', 'important');
    button.setAttribute('aria-label', unread > 0 ? title + ' (' + unread + ')' : title);
    tell('rung-unread', { unread: unread });
  }

  function load() {
    if (loaded) return;
    loaded = true;
    frame.src = server + '/chat.html?' + query;
  }

  function show(open) {
    shown = open;
    if (open) load();
    frame.style.setProperty('display', open ? 'block' : 'none', 'important');
    button.setAttribute('aria-expanded', String(open));
    button.replaceChildren(open ? cross : speech, count);
    count.style.setProperty('display', 'none', 'important');
    if (open) frame.focus();
  }

  function makeButton() {
    button.type = 'button';
    button.setAttribute('aria-label', title);
    dress(button, {
      all: 'unset', 'box-sizing': 'border-box', position: 'relative', display: 'grid', 'place-items': 'center',
      width: '56px', height: '56px', margin: '12px 0 0 auto', 'border-radius': '50%', cursor: 'pointer',
      background: options.color || '#3b5bdb', color: '#fff', 'box-shadow': '0 8px 24px rgb(20 28 50 / 30%)',
    });
    if (options.position === 'left') pin(button, { margin: '12px auto 0 0' });
    dress(count, {
      display: 'none', position: 'absolute', top: '-4px', right: '-4px', 'min-width': '20px', padding: '0 5px',
      'box-sizing': 'border-box', 'border-radius': '10px', background: '#c92a2a', color: '#fff',
      font: '650 12px/20px system-ui, sans-serif', 'text-align': 'center',
    });
    button.onfocus = function () {
      if (button.matches(':focus-visible')) pin(button, { outline: '3px solid #fff', 'outline-offset': '-6px' });
    };
    button.onblur = function () {
      pin(button, { outline: 'none' });
    };
    button.onclick = function () {
      show(!shown);
    };
    addEventListener('keydown', function (event) {
      if (event.key === 'Escape' && shown) {
        show(false);
        button.focus();
      }
    });
    root.append(button);
  }

  /* ---- on the page ---- */

  function place() {
    if (!options.target) return;
    inline = document.querySelector(options.target);
    if (!inline) return;
    pin(host, INSIDE);
    pin(frame, { width: '100%', height: '100%', 'box-shadow': 'none' });
  }

  function mount() {
    root.append(frame);
    if (inline) load();
    else {
      makeButton();
      show(options.open !== undefined && options.open !== 'false');
    }
    (inline || document.body).append(host);
    if (inline || !host.showPopover) return;
    host.popover = 'manual'; // the top layer: no transform, opacity or z-index of the page concerns it
    host.showPopover();
  }

  window.RungEmbed = {
    open: function () { if (!inline) show(true); },
    close: function () { if (!inline) show(false); },
    setToken: setToken,
  };
  place();
  var complete = document.body && (inline || !options.target || document.readyState !== 'loading');
  if (complete) mount();
  else addEventListener('DOMContentLoaded', function () {
    place(); // what it is to stand in may come behind an async script
    mount();
  });
})();
