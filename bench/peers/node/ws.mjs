// A server on plain ws: a room in the URL, "ROOM PAYLOAD" sends to a room.
//     node ws.mjs PORT
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';

const port = Number(process.argv[2]);
const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
const rooms = new Map();

server.on('connection', (socket, request) => {
  const { searchParams } = new URL(request.url, 'http://bench');
  const room = searchParams.get('room');
  if (room !== null) {
    let members = rooms.get(room);
    if (!members)
      rooms.set(room, members = new Set());
    members.add(socket);
    socket.on('close', () => members.delete(socket));
  }
  socket.on('error', () => {});
  socket.on('message', (data) => {
    const text = data.toString();
    const space = text.indexOf(' ');
    const payload = text.slice(space + 1);
    for (const member of rooms.get(text.slice(0, space)) ?? [])
      member.send(payload);
  });
});
http.listen({ port, host: '127.0.0.1', backlog: 8192 },
            () => console.log('ready'));
