// A Socket.IO server: a room in the query, "pub" sends to a room.
//     node socketio.mjs PORT
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const port = Number(process.argv[2]);
const http = createServer();
// The bench's client answers pings, but shares the reading of equal bytes.
const io = new Server(http, {
  pingInterval: 300000,
  pingTimeout: 300000,
  serveClient: false,
  perMessageDeflate: false,
  httpCompression: false,
});

io.on('connection', (socket) => {
  const { room } = socket.handshake.query;
  if (room !== undefined)
    socket.join(room);
  socket.on('pub', (to, payload) => io.to(to).emit('m', payload));
});
http.keepAliveTimeout = 600000;
http.listen({ port, host: '127.0.0.1', backlog: 8192 },
            () => console.log('ready'));
