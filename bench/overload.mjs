// What becomes of a server that is asked for five times what it can do?
//
//     node bench/overload.mjs [--bin build/rung] [--seconds 5] [--connections 2000]
//
// One process writes ready-made frames into many WebSockets: first as fast as
// answers come (peak), then five times that, whether answers come or not. What a
// socket does not take has been asked for all the same. Prints a table, and
// exits with 1 when a promise of docs/RELIABILITY.md is broken.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { frame, handshake, TEXT } from '../tests/lib/frames.mjs';

const { values: given } = parseArgs({ options: {
  bin: { type: 'string', default: 'build/rung' },
  seconds: { type: 'string', default: '5' },
  connections: { type: 'string', default: '2000' },
} });
const seconds = Number(given.seconds);
const factor = 5;
const queueMax = 65536; // server/sequencer.c
const heartbeatMs = 1000;
const clogged = 64 << 10; // bytes that a socket of ours may owe

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

// ---- the server ------------------------------------------------------------

const pinned = os.availableParallelism() > 1 &&
  spawnSync('taskset', ['-c', '0', 'true']).status === 0;

async function startServer() {
  const dir = await mkdtemp(path.join(process.cwd(), 'build/overload-'));
  const serve = [given.bin, 'serve', '--listen', '127.0.0.1:0', '--data', dir,
    '--demo', '--workers', '1', '--user-rate', '10000000', '--connection-rate',
    '10000000', '--heartbeat-ms', String(heartbeatMs), '--stall-ms', '60000'];
  const child = pinned ? spawn('taskset', ['-c', '0', ...serve])
                       : spawn(serve[0], serve.slice(1));
  if (pinned)
    spawnSync('taskset', ['-p', '-c', '1', String(process.pid)]);
  child.stderr.pipe(process.stderr);
  const port = await new Promise((resolve) => {
    child.stdout.on('data', (text) => {
      const found = /127\.0\.0\.1:(\d+)/.exec(text);
      if (found)
        resolve(Number(found[1]));
    });
  });
  return { port, pid: child.pid, async end() {
    child.kill('SIGKILL');
    await rm(dir, { recursive: true });
  } };
}

function ask(port, target, { body, token } = {}) {
  return new Promise((resolve, reject) => {
    const req = http.request({ port, host: '127.0.0.1', path: target, agent: false,
      method: body ? 'POST' : 'GET',
      headers: token ? { authorization: `Bearer ${token}` } : {} }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (part) => { text += part; });
      res.on('end', () => resolve(JSON.parse(text)));
    });
    req.on('error', reject);
    req.end(body);
  });
}

const login = async (port, user) =>
  (await ask(port, '/v1/demo.login', { body: JSON.stringify({ user }) })).token;

async function memoryMb(pid) {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/RssAnon:\s+(\d+)/.exec(status)[1]) / 1024;
}

/** Seconds that it has used of its core. */
async function cpuSeconds(pid) {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8'))
    .replace(/^.*\) /s, '').split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

// ---- its clients -------------------------------------------------------------

const batch = 16; // frames in one write
const count = (bytes, word) => {
  let n = 0;
  for (let at = bytes.indexOf(word); at >= 0; at = bytes.indexOf(word, at + 1))
    n++;
  return n;
};

/** A sender that counts what it is told; words cut in two are let go. */
class Sender {
  static stored = 0;
  static overloaded = 0;
  static other = 0;
  unanswered = 0;
  answered = () => {};

  constructor(port, token, to) {
    const call = JSON.stringify({ id: 1, method: 'message.send',
      params: { to, body: { text: 'x'.repeat(64) }, echo: false } });
    this.bytes = Buffer.concat(Array(batch).fill(frame(TEXT, call)));
    this.socket = net.connect({ port, host: '127.0.0.1' });
    this.ready = new Promise((resolve, reject) => {
      this.socket.once('data', resolve);
      this.socket.once('error', reject);
    });
    this.socket.on('data', (bytes) => {
      const stored = count(bytes, '"duplicate"');
      const overloaded = count(bytes, '"overloaded"');
      Sender.stored += stored;
      Sender.overloaded += overloaded;
      Sender.other += count(bytes, '"error"') - overloaded;
      this.unanswered -= stored + overloaded;
      this.answered();
    });
    this.socket.write(handshake(`/v1/ws?access_token=${token}`));
  }

  write() {
    if (this.socket.writableLength > clogged)
      return;
    this.unanswered += batch;
    this.socket.write(this.bytes);
  }
}

/** Somebody who only listens to heartbeats. */
function listener(port, token) {
  let last = Date.now();
  const one = { longest: 0 };
  const req = http.get({ port, host: '127.0.0.1', agent: false,
                         path: `/v1/sse?access_token=${token}` }, (res) => {
    res.setEncoding('utf8').on('data', (text) => {
      if (!text.includes('heartbeat'))
        return;
      one.longest = Math.max(one.longest, Date.now() - last);
      last = Date.now();
    });
  });
  one.end = () => {
    one.longest = Math.max(one.longest, Date.now() - last);
    req.destroy();
  };
  return one;
}

/** What happened in `s` seconds, and the most of what is bounded. */
async function during(server, s) {
  const from = { stored: Sender.stored, overloaded: Sender.overloaded,
                 cpu: await cpuSeconds(server.pid), at: performance.now() };
  const most = { queue: 0, memory: 0 };
  while (performance.now() < from.at + s * 1000) {
    await pause(100);
    const health = await ask(server.port, '/healthz');
    most.queue = Math.max(most.queue, health.sequencer.queue);
    most.memory = Math.max(most.memory, await memoryMb(server.pid));
  }
  const took = (performance.now() - from.at) / 1000;
  const cpu = await cpuSeconds(server.pid) - from.cpu;
  return { ...most, cpu: 100 * cpu / took, stored: (Sender.stored - from.stored) / took,
           overloaded: (Sender.overloaded - from.overloaded) / took };
}

async function peak(server, senders) {
  for (const one of senders) {
    one.answered = () => one.unanswered <= batch && one.write();
    one.write();
    one.write();
  }
  await during(server, 1);
  const result = await during(server, seconds);
  senders.forEach((one) => { one.answered = () => {}; });
  await pause(1000);
  return result;
}

async function overload(server, senders, rate) {
  const began = performance.now();
  let asked = 0;
  let next = 0;
  const timer = setInterval(() => {
    const due = (performance.now() - began) / 1000 * rate;
    for (; asked < due; asked += batch)
      senders[next++ % senders.length].write();
  }, 5);
  await during(server, 2);
  const result = await during(server, seconds);
  clearInterval(timer);
  return { ...result,
           asked: asked / ((performance.now() - began) / 1000) };
}

// ---- the report ----------------------------------------------------------------

const round = (n) => Math.round(n).toLocaleString('en');

async function main() {
  const server = await startServer();
  const { port } = server;
  try {
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) =>
      login(port, `sender${i}`)));
    const senders = Array.from({ length: Number(given.connections) }, (_, i) =>
      new Sender(port, tokens[i % 50], `sink${i % 50}`));
    await Promise.all(senders.map(({ ready }) => ready));
    const before = await memoryMb(server.pid);
    const can = await peak(server, senders);
    const beside = listener(port, tokens[0]);
    const must = await overload(server, senders, factor * can.stored);
    beside.end();

    console.log(`| | peak | ${factor} x |\n|---|---|---|`);
    console.log(`| asked, messages/s | | ${round(must.asked)} |`);
    console.log(`| stored/s | ${round(can.stored)} | ${round(must.stored)} |`);
    console.log(`| refused with overloaded/s | ${round(can.overloaded)} | ` +
                `${round(must.overloaded)} |`);
    console.log(`| of the server's core, % | ${round(can.cpu)} | ` +
                `${round(must.cpu)} |`);
    console.log(`| longest queue | ${round(can.queue)} | ${round(must.queue)} |`);
    console.log(`| memory more, MB | ${round(can.memory - before)} | ` +
                `${round(must.memory - before)} |`);
    console.log(`| longest silence of a heartbeat, ms | | ${beside.longest} |`);
    const promises = [
      ['goodput is 80 % of peak', must.stored >= 0.8 * can.stored],
      ['the queue is bounded', must.queue <= queueMax],
      ['memory is bounded', must.memory - before < 512],
      ['heartbeats are sent', beside.longest < 2 * heartbeatMs],
      ['nothing else is refused', Sender.other === 0],
    ];
    for (const [what, kept] of promises)
      console.log(`${kept ? 'kept  ' : 'BROKEN'} ${what}`);
    if (must.cpu < 80 || can.cpu < 80)
      console.log('The server did not have its core, or too little to do: this ' +
                  'machine was busy, and says nothing about goodput.');
    return promises.every(([, kept]) => kept) ? 0 : 1;
  } finally {
    await server.end();
  }
}

process.exit(await main());
