#!/usr/bin/env node
// What build/tests/conformance_server serves, on the original: npm's engine.io
// and socket.io. The suite runs against it, too, and so is known to ask for what
// the original does:
//
//     CONFORMANCE_SERVER="node tests/conformance/oracle.mjs" \
//         node --test tests/conformance/*.test.mjs

import http from 'node:http';
import { parseArgs } from 'node:util';
import { Server as Engine } from 'engine.io';
import { Server as SocketIO } from 'socket.io';
import { WebSocketServer } from 'ws';

const PUBLISHED_BYTES = 4 << 20;

const number = (text) => Number(text);
const on = (text) => text === 'on';

const { values } = parseArgs({ options: {
  port: { type: 'string', default: '0' },
  'ping-interval': { type: 'string', default: '25000' },
  'ping-timeout': { type: 'string', default: '20000' },
  'max-payload': { type: 'string', default: '1000000' },
  'connect-timeout': { type: 'string', default: '45000' },
  recovery: { type: 'string', default: 'off' },
  eio3: { type: 'string', default: 'off' },
} });

const options = {
  pingInterval: number(values['ping-interval']),
  pingTimeout: number(values['ping-timeout']),
  maxHttpBufferSize: number(values['max-payload']),
  allowEIO3: on(values.eio3),
  cors: { origin: '*' },
};

/* --- channels: /sse and /publish ------------------------------------------ */

const channels = new Map();

function channel(name) {
  if (!channels.has(name))
    channels.set(name, { messages: [], readers: new Set() });
  return channels.get(name);
}

const block = (id, text) => `id: ${id}\n` +
  text.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`).join('') + '\n';

function subscribe(req, res, { messages, readers }) {
  const last = req.headers['last-event-id'];
  res.writeHead(200, { 'content-type': 'text/event-stream',
                       'cache-control': 'no-store',
                       'access-control-allow-origin': '*' });
  res.flushHeaders();
  if (last !== undefined)
    for (let id = Number(last) + 1; id <= messages.length; id++)
      res.write(block(id, messages[id - 1]));
  readers.add(res);
  res.on('close', () => readers.delete(res));
}

function publish(req, res, { messages, readers }) {
  const parts = [];
  let size = 0;
  req.on('data', (part) => {
    parts.push(part);
    size += part.length;
  });
  req.on('end', () => {
    if (size > PUBLISHED_BYTES)
      return res.writeHead(413).end();
    const text = Buffer.concat(parts).toString();
    const id = messages.push(text);
    for (const reader of readers)
      reader.write(block(id, text));
    return res.writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ id: String(id) }));
  });
}

const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://localhost');
  const named = url.searchParams.get('channel');
  if (req.method === 'GET' && url.pathname === '/')
    return res.writeHead(200).end('ok');
  if (req.method === 'GET' && url.pathname === '/sse' && named)
    return subscribe(req, res, channel(named));
  if (req.method === 'POST' && url.pathname === '/publish' && named)
    return publish(req, res, channel(named));
  return res.writeHead(404).end();
});

/* --- /echo ---------------------------------------------------------------- */

const echo = new WebSocketServer({ noServer: true });
server.on('upgrade', (req, socket, head) => {
  if (new URL(req.url, 'http://localhost').pathname === '/echo')
    echo.handleUpgrade(req, socket, head, (peer) => {
      peer.on('message', (data, binary) => peer.send(data, { binary }));
    });
});

/* --- /engine.io/ ---------------------------------------------------------- */

const engine = new Engine(options);
engine.attach(server, { path: '/engine.io/', destroyUpgrade: false });
engine.on('connection', (peer) => {
  peer.on('message', (data) => peer.send(data));
});

/* --- /socket.io/ ---------------------------------------------------------- */

const io = new SocketIO({
  ...options,
  connectTimeout: number(values['connect-timeout']),
  serveClient: false,
  destroyUpgrade: false,
  ...(on(values.recovery) && {
    connectionStateRecovery: { maxDisconnectionDuration: 120000 },
  }),
});

function converse(socket) {
  socket.emit('auth', socket.handshake.auth);
  socket.on('message', (...args) => socket.emit('message-back', ...args));
  socket.on('message-with-ack', (...args) => args.pop()(...args));
  socket.on('join', (room, ack) => {
    socket.join(room);
    ack?.();
  });
  socket.on('leave', (room, ack) => {
    socket.leave(room);
    ack?.();
  });
  socket.on('to-room', (room, event, ...args) =>
    socket.to(room).emit(event, ...args));
  socket.on('in-room', (room, event, ...args) =>
    socket.nsp.to(room).emit(event, ...args));
  socket.on('broadcast', (event, ...args) =>
    socket.broadcast.emit(event, ...args));
  socket.on('server-ask', (...args) =>
    socket.emit('ask', ...args, (...reply) => socket.emit('asked', ...reply)));
  socket.on('no-ack', () => {});
  socket.on('kick', () => socket.disconnect(true));
  socket.on('leave-ns', () => socket.disconnect());
}

io.on('connection', converse);
io.of('/custom').on('connection', converse);
io.of('/admin').use((socket, next) => {
  if (socket.handshake.auth?.token === 'good')
    return next();
  const error = new Error('not authorized');
  error.data = { code: 401, content: 'retry later' };
  return next(error);
});
io.attach(server);

server.listen(number(values.port), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
  process.exit(0);
});
