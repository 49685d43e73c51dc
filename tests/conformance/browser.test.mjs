// The stock client scripts in a page of another origin, in headless Chromium:
// socket.io-client 4 on polling, on a WebSocket, from one to the other; 2 on
// these, and on JSONP.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { givenBrowser, missing } from '../browser/given.mjs';
import { givenServer } from './given.mjs';

const scripts = {
  4: 'socket.io-client/dist/socket.io.min.js',
  2: 'socket.io-client-2/dist/socket.io.js',
};
const npm = (path) =>
  fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));

const skip = missing();
let server;
let site;
let browser;
let closeBrowser;

/** A site with nothing but the client's script on each page. */
async function givenSite() {
  const pages = http.createServer(async (req, res) => {
    const version = req.url.slice(1, 2);
    if (req.url.endsWith('.js')) {
      res.writeHead(200, { 'content-type': 'text/javascript' });
      res.end(await readFile(npm(scripts[version])));
    } else {
      res.writeHead(200, { 'content-type': 'text/html' });
      res.end(`<!doctype html><meta charset=utf-8><title>page</title>` +
              `<script src="/${version}/client.js"></script>`);
    }
  });
  await new Promise((resolve) => {
    pages.listen(0, '127.0.0.1', resolve);
  });
  return { url: `http://127.0.0.1:${pages.address().port}`,
           close: () => { pages.close(); pages.closeAllConnections(); } };
}

before(async () => {
  if (skip)
    return;
  server = await givenServer({ eio3: 'on', recovery: 'off' });
  site = await givenSite();
  browser = await givenBrowser((close) => { closeBrowser = close; });
});
after(async () => {
  await closeBrowser?.();
  site?.close();
  await server?.finish();
});

/* In the page. What it has seen is told as JSON. */
/* global io */
async function converse({ url, options }) {
  /* the original's "*" is not for credentials, which version 2 would send */
  const socket = io(url, { forceNew: true, withCredentials: false, ...options });
  const once = (event) => new Promise((resolve, reject) => {
    socket.once(event, (...args) => resolve(args));
    setTimeout(reject, 20000, new Error(`no ${event}`));
  });
  const said = async (...args) => {
    const back = once('message-back');
    socket.emit('message', ...args);
    return back;
  };
  const bytes = (value) => [...new Uint8Array(value)];
  const told = {};

  await once('connect');
  told.text = await said('€ 😀 \u2028 "\\ \n', { a: [1, null] });
  const [one, { two }] = await said(new Uint8Array([0, 1, 255]).buffer,
                                    { two: new Uint8Array([7]) });
  told.bytes = [bytes(one), bytes(two)];
  told.ack = await new Promise((resolve) => {
    socket.emit('message-with-ack', 1, '2', (...args) => resolve(args));
  });
  const back = [];
  const all = new Promise((resolve, reject) => {
    setTimeout(reject, 20000, new Error(`${back.length} came back`));
    socket.on('message-back', (n) => {
      back.push(n);
      if (back.length === 200)
        resolve();
    });
  });
  for (let i = 0; i < 200; i++)
    socket.emit('message', i);
  await all;
  told.ordered = back.every((n, i) => n === i);
  const engine = socket.io.engine;
  if (options.transports.length > 1)
    while (engine.transport.name !== options.transports.at(-1))
      await new Promise((resolve) => { setTimeout(resolve, 10); });
  told.transport = engine.transport.name;
  const gone = once('disconnect');
  socket.emit('kick');
  [told.reason] = await gone;
  return told;
}

const cases = [
  [4, { transports: ['polling'] }],
  [4, { transports: ['websocket'] }],
  [4, { transports: ['polling', 'websocket'] }],
  [2, { transports: ['polling'] }],
  [2, { transports: ['polling', 'websocket'] }],
  [2, { transports: ['polling'], forceJSONP: true }],
];

for (const [version, options] of cases)
  test(`socket.io-client ${version} with ${JSON.stringify(options)}`,
       { skip, timeout: 60000 }, async () => {
    const page = await browser.newPage();
    const complaints = [];
    const asked = [];
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => asked.push(request.url()));
    await page.goto(`${site.url}/${version}/`);
    const told = await page.evaluate(converse, { url: server.url, options });
    assert.deepEqual(told, {
      text: ['€ 😀 \u2028 "\\ \n', { a: [1, null] }],
      bytes: [[0, 1, 255], [7]],
      ack: [1, '2'],
      ordered: true,
      transport: options.transports.at(-1),
      reason: 'io server disconnect',
    });
    assert.deepEqual(complaints, []);
    assert.equal(asked.some((url) => /[?&]j=\d/.test(url)),
                 options.forceJSONP === true);
    await page.close();
  });
