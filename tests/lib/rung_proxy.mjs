// An HTTP proxy that treats each rung as a bad network does: lets it through,
// refuses it, answers with a page of its own, never answers, or says 200 and
// holds back the rest. Methods pass.

import http from 'node:http';
import net from 'node:net';

const rungOf = (url) => /^\/v1\/(ws|stream|sse|longpoll|poll|jsonp)\b(?!\.)/.exec(url)?.[1];

export const faults = ['refuses', 'page', 'hangs', 'buffers'];

export class RungProxy {
  #port;
  #server;
  #agent = new http.Agent({ keepAlive: true });
  #modes = new Map();
  #lines = new Set(); // {rung, close, mute}
  /** How often each rung was asked for. */
  asked = new Map();
  /** What the proxy serves by itself, whether the server is there or not:
   * (path) → {type, body}, or undefined. */
  serves = () => undefined;

  static async open(port) {
    const proxy = new RungProxy();
    proxy.#port = port;
    proxy.#server = http.createServer((req, res) => proxy.#request(req, res));
    proxy.#server.on('upgrade', (req, socket, head) => proxy.#upgrade(req, socket, head));
    proxy.#server.requestTimeout = 0;
    await new Promise((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url() {
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  /** @param {'works' | 'refuses' | 'page' | 'hangs' | 'buffers'} mode open lines
   * of the rung feel it, too: they are cut, or hear nothing more */
  make(mode, ...rungs) {
    for (const rung of rungs) {
      this.#modes.set(rung, mode);
      if (mode === 'works')
        continue;
      for (const line of [...this.#lines].filter((one) => one.rung === rung)) {
        if (mode === 'refuses' || mode === 'page')
          line.close();
        else
          line.mute = true;
      }
    }
  }

  async close() {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const line of this.#lines)
      line.close();
    this.#agent.destroy();
  }

  #modeOf(req) {
    const rung = rungOf(req.url);
    if (rung)
      this.asked.set(rung, (this.asked.get(rung) ?? 0) + 1);
    return { rung, mode: this.#modes.get(rung) ?? 'works' };
  }

  /* `end`: the answer or the socket whose close ends the line. */
  #line(rung, end, close) {
    const line = { rung, close, mute: false };
    this.#lines.add(line);
    end.once('close', () => this.#lines.delete(line));
    return line;
  }

  async #request(req, res) {
    const own = await this.serves(req.url);
    if (own)
      return res.writeHead(200, { 'content-type': own.type }).end(own.body);
    const { rung, mode } = this.#modeOf(req);
    if (mode === 'refuses')
      return req.socket.destroy();
    if (mode === 'page')
      return res.writeHead(403, { 'content-type': 'text/html' }).end('<h1>Blocked by your provider</h1>');
    const line = this.#line(rung, res, () => req.socket.destroy());
    if (mode === 'hangs')
      return req.resume();
    this.#forward(req, res, line, mode);
  }

  #forward(req, res, line, mode) {
    const up = http.request({ port: this.#port, host: '127.0.0.1', method: req.method, path: req.url,
                              headers: req.headers, agent: this.#agent });
    const held = [];
    up.on('error', () => res.destroy());
    up.on('response', (answer) => {
      res.writeHead(answer.statusCode, answer.headers);
      res.flushHeaders();
      answer.on('data', (bytes) => {
        if (mode === 'buffers')
          held.push(bytes);
        else if (!line.mute)
          res.write(bytes);
      });
      answer.on('end', () => line.mute || res.end(Buffer.concat(held)));
      answer.on('error', () => res.destroy());
    });
    res.once('close', () => up.destroy());
    req.pipe(up);
  }

  #upgrade(req, socket, head) {
    const { rung, mode } = this.#modeOf(req);
    socket.on('error', () => {});
    if (mode === 'refuses')
      return socket.destroy();
    if (mode === 'page')
      return socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    const line = this.#line(rung, socket, () => socket.destroy());
    if (mode !== 'hangs')
      this.#tunnel(req, socket, head, line, mode);
  }

  #tunnel(req, socket, head, line, mode) {
    const up = net.connect(this.#port, '127.0.0.1');
    const heads = Object.entries(req.headers).map(([name, value]) => `${name}: ${value}\r\n`).join('');
    let shaken = false;
    up.write(`${req.method} ${req.url} HTTP/1.1\r\n${heads}\r\n`);
    up.write(head);
    up.on('data', (bytes) => {
      if (line.mute || (mode === 'buffers' && shaken))
        return;
      shaken = true; // the 101 passes, what follows does not
      socket.write(bytes);
    });
    socket.on('data', (bytes) => up.write(bytes));
    up.on('error', () => socket.destroy());
    up.on('close', () => line.mute || socket.destroy());
    socket.on('close', () => up.destroy());
  }
}
