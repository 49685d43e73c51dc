// A TCP proxy between a client and the server that can misbehave like a
// network: cut or reset after N bytes, stall, delay, swallow everything or one
// direction, lose one packet, cut what is idle. What depends on the rung is in
// rung_proxy.mjs.

import net from 'node:net';

/** A reset. Not while the socket is shutting down: node would believe that it
 * is closed and libuv that it is not, and the process could never exit. */
function abort(socket) {
  if (socket.connecting || socket.writableEnded)
    socket.destroy();
  else
    socket.resetAndDestroy();
}

export class Proxy {
  #port;
  #linePort;
  #server;
  #pairs = new Set();
  #stalled = false;
  #swallowing = false;
  #trap;
  #halfOpen = false;
  #delayMs = 0;
  #idleMs = 0;
  #resetting = false;
  /** Called per new connection; a number cuts it after so many bytes towards
   * the client, undefined lets it live. */
  budget = () => undefined;
  cuts = 0;

  /** Before the server's `port`; with a `linePort`, who speaks JSON at once
   * gets there instead. */
  static async open(port, linePort) {
    const proxy = new Proxy();
    proxy.#port = port;
    proxy.#linePort = linePort;
    proxy.#server = net.createServer({ allowHalfOpen: true },
                                     (down) => proxy.#join(down));
    await new Promise((resolve) => {
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port() {
    return this.#server.address().port;
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  get connections() {
    return this.#pairs.size;
  }

  #join(down) {
    const up = new net.Socket({ allowHalfOpen: true });
    const connect = (port) => up.connect({ port, host: '127.0.0.1' });
    const pair = { down, up, left: this.budget() };
    const over = () => this.#part(pair);

    this.#pairs.add(pair);
    if (this.#linePort === undefined)
      connect(this.#port);
    else
      down.once('data', ([first]) =>
        connect(first === '{'.charCodeAt() ? this.#linePort : this.#port));
    this.#watch(pair);
    down.on('data', (bytes) =>
      this.#later(pair, () => this.#upwards(pair, bytes)));
    down.on('end', () => this.#later(pair, () => up.end()));
    up.on('data', (bytes) =>
      this.#later(pair, () => this.#downwards(pair, bytes)));
    up.on('end', () => this.#later(pair, () => this.#halfOpen || down.end()));
    for (const socket of [down, up]) {
      socket.setNoDelay(true);
      socket.on('error', over);
      socket.on('close', over);
    }
    if (this.#stalled)
      up.pause();
  }

  #upwards(pair, bytes) {
    if (this.#swallowing || pair.up.destroyed || this.#lose(pair, 'up', bytes))
      return;
    pair.up.write(bytes);
  }

  /* What passes passes later, in its order; and the connection is not idle. */
  #later(pair, pass) {
    this.#watch(pair);
    if (this.#delayMs)
      setTimeout(pass, this.#delayMs);
    else
      pass();
  }

  #watch(pair) {
    clearTimeout(pair.idle);
    if (!this.#idleMs || !this.#pairs.has(pair))
      return;
    pair.idle = setTimeout(() => {
      this.cuts++;
      this.#part(pair);
    }, this.#idleMs);
  }

  #downwards(pair, bytes) {
    if (this.#swallowing || this.#halfOpen || pair.down.destroyed ||
        this.#lose(pair, 'down', bytes))
      return;
    if (pair.left === undefined) {
      if (!pair.down.write(bytes)) {
        pair.up.pause();
        pair.down.once('drain', () => this.#stalled || pair.up.resume());
      }
      return;
    }
    const some = bytes.subarray(0, pair.left);
    pair.left -= some.length;
    if (pair.left > 0) {
      pair.down.write(some);
      return;
    }
    this.cuts++;
    // the last bytes leave first, then the connection is simply gone
    pair.up.destroy();
    pair.down.write(some, () => {
      if (this.#resetting)
        abort(pair.down);
      this.#part(pair);
    });
  }

  #part(pair) {
    clearTimeout(pair.idle);
    if (!this.#pairs.delete(pair))
      return;
    for (const socket of [pair.up, pair.down]) {
      if (!socket.destroyed)
        socket.destroy();
    }
  }

  /** Whether a packet in it is the one to be lost. What is before it gets
   * through, and a little of itself; the connection ends. */
  #lose(pair, way, bytes) {
    const trap = this.#trap;
    if (pair.lost || !trap)
      return Boolean(pair.lost);
    const at = trap.find(way, bytes.toString('latin1'));
    if (at < 0)
      return false;
    const some = bytes.subarray(0, Math.min(at + trap.keep, bytes.length - 1));

    this.#trap = undefined;
    pair.lost = true;
    this.cuts++;
    trap.lost();
    (way === 'up' ? pair.up : pair.down).write(some, () => this.#part(pair));
    return true;
  }

  /** Lose the next packet that `find` finds: told the bytes that go one way
   * ('up' to the server, 'down' to the client) as text, it says where in them
   * the packet begins, or -1. `keep` bytes of it get through. `lost` is called
   * when it is lost. */
  loseNext(find, { keep = 0, lost = () => {} } = {}) {
    this.#trap = { find, keep, lost };
  }

  /** Whether it is still to be lost; from now on it is not. */
  letPass() {
    const armed = this.#trap !== undefined;
    this.#trap = undefined;
    return armed;
  }

  /** Cut the connections that are open, and those to come, once each after
   * `bytes` more bytes. */
  cutAfter(bytes) {
    this.budget = () => bytes;
    for (const pair of this.#pairs)
      pair.left = bytes;
  }

  /** The same, by a reset (RST), as a stateful firewall does it. */
  resetAfter(bytes) {
    this.#resetting = true;
    this.cutAfter(bytes);
  }

  /** Every piece of bytes passes so much later, both ways. */
  delay(ms) {
    this.#delayMs = ms;
  }

  /** Cut a connection on which nothing has passed for so long; 0: never. */
  idleCut(ms) {
    this.#idleMs = ms;
    for (const pair of this.#pairs)
      this.#watch(pair);
  }

  /** What the server says vanishes, its end too; it hears the client still. */
  halfOpen() {
    this.#halfOpen = true;
  }

  /** New connections live again. */
  heal() {
    this.#delayMs = 0;
    this.#resetting = false;
    this.idleCut(0);
    this.budget = () => undefined;
    for (const pair of this.#pairs)
      pair.left = undefined;
    this.flow();
    this.#swallowing = false;
    this.#halfOpen = false;
  }

  /** Stop reading from the server: its socket buffers fill. */
  stall() {
    this.#stalled = true;
    for (const pair of this.#pairs)
      pair.up.pause();
  }

  flow() {
    this.#stalled = false;
    for (const pair of this.#pairs)
      pair.up.resume();
  }

  /** Bytes vanish in both directions; nobody is told. */
  blackHole() {
    this.#swallowing = true;
  }

  /** All connections end by a reset, as when a wire is pulled. */
  reset() {
    for (const pair of [...this.#pairs]) {
      this.#pairs.delete(pair);
      clearTimeout(pair.idle);
      abort(pair.up);
      abort(pair.down);
    }
  }

  async close() {
    this.reset();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
