// Every server that is measured: how it is started and what it does not do.

import { spawn, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const bench = fileURLToPath(new URL('../', import.meta.url));
const SECRET = 'bench-secret-of-at-least-32-bytes!';
const FIRST_PORT = 19100;
let nextPort = FIRST_PORT;

const running = new Set();
process.on('exit', () => {
  for (const child of running)
    child.kill('SIGKILL');
});

export const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** taskset's words; none when there is no such core. */
export function pinned(cores) {
  return cores === undefined ? [] : ['taskset', '-c', cores];
}

export function start(words, { cwd, stdin = 'ignore' } = {}) {
  const child = spawn(words[0], words.slice(1),
                      { cwd, stdio: [stdin, 'pipe', 'pipe'] });
  child.errors = '';
  child.stderr.setEncoding('utf8')
    .on('data', (text) => { child.errors = (child.errors + text).slice(-4000); });
  running.add(child);
  child.ended = new Promise((resolve) => {
    child.on('error', (error) => resolve({ error }));
    child.on('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  return child;
}

async function listening(port, child) {
  for (let i = 0; i < 200; i++) {
    const open = await new Promise((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1' })
        .on('connect', () => { socket.destroy(); resolve(true); })
        .on('error', () => resolve(false));
    });
    if (open)
      return;
    if (!running.has(child))
      break;
    await sleep(50);
  }
  throw new Error(`nobody listens on ${port}: ${child.errors}`);
}

/** How many descriptors a process may have here. */
export function descriptorLimit() {
  const { stdout } = spawnSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' });
  return stdout.trim() === 'unlimited' ? Infinity : Number(stdout);
}

/** The processes below `pid`, when there are so many: nginx's workers. */
async function childrenOf(pid, count) {
  const file = `/proc/${pid}/task/${pid}/children`;
  for (let i = 0; i < 100; i++) {
    const text = await readFile(file, 'utf8');
    const pids = text.trim().split(/\s+/).filter(Boolean).map(Number);
    if (pids.length >= count)
      return pids;
    await sleep(20);
  }
  throw new Error('nginx has no workers');
}

async function stop(child, signal = 'SIGTERM') {
  const timer = setTimeout(() => child.kill('SIGKILL'), 8000);
  child.kill(signal);
  await child.ended;
  clearTimeout(timer);
}

async function fill(template, values, to) {
  let text = await readFile(path.join(bench, 'peers', template), 'utf8');
  for (const [name, value] of Object.entries(values))
    text = text.replaceAll(`@${name}@`, value);
  await writeFile(to, text);
}

/** Where a run keeps its files; `dir` must be on the disk to be measured. */
async function folder(setup, name) {
  await mkdir(setup.dir, { recursive: true });
  return mkdtemp(path.join(setup.dir, `${name}-`));
}

// ---- each of them -----------------------------------------------------------

async function startRung(setup, options) {
  const dir = options.dir ?? await folder(setup, 'rung');
  const port = options.port ?? nextPort++;
  const config = path.join(dir, 'bench.json');
  await writeFile(config, JSON.stringify({
    apps: { bench: { hs256: [SECRET] } },
  }));
  const child = start([
    ...pinned(options.cores), setup.rung, 'serve',
    '--listen', `127.0.0.1:${port}`, '--data', path.join(dir, 'data'),
    '--config', config, '--workers', String(options.workers ?? 1),
    '--user-rate', '10000000', '--connection-rate', '10000000',
    '--max-parked-per-user', '1000000', '--max-connections', '1000000',
    // Recycling streams and beating are not what is measured.
    '--stream-max-bytes', '9000000000000', '--heartbeat-ms', '600000',
    '--log-level', 'warn',
  ]);
  await listening(port, child);
  return {
    port,
    pids: [child.pid],
    dir,
    options: { ...options, dir, port },
    kill: () => stop(child, 'SIGKILL'),
    stop: async () => {
      await stop(child);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function startRedis(setup, dir, options) {
  const port = nextPort++;
  await fill('redis.conf.in', { PORT: port, DIR: dir },
             path.join(dir, 'redis.conf'));
  const child = start([...pinned(options.cores), setup.redis,
                       path.join(dir, 'redis.conf')]);
  await listening(port, child);
  return { port, child };
}

async function startNchan(setup, options) {
  const dir = await folder(setup, 'nchan');
  const port = nextPort++;
  const redis = options.redis ? await startRedis(setup, dir, options) : undefined;
  await fill('nchan/nginx.conf.in', {
    PORT: port,
    DIR: dir,
    WORKERS: options.workers ?? 1,
    FILES: Math.min(descriptorLimit(), 65536),
    REDIS: redis ? `upstream store { nchan_redis_server 127.0.0.1:${redis.port}; }`
      : '',
    USE_REDIS: redis ? 'nchan_redis_pass store;' : '',
  }, path.join(dir, 'nginx.conf'));
  const child = start([...pinned(options.cores), setup.nginx, '-p', dir,
                       '-c', path.join(dir, 'nginx.conf')]);
  await listening(port, child);
  const workers = await childrenOf(child.pid, options.workers ?? 1);
  if (redis)
    await sleep(500); // it connects by itself
  return {
    port,
    pids: [...workers, ...(redis ? [redis.child.pid] : [])],
    stop: async () => {
      await stop(child);
      if (redis)
        await stop(redis.child);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function startWords(words, port, options) {
  const child = start([...pinned(options.cores), ...words]);
  await listening(port, child);
  return { port, pids: [child.pid], stop: () => stop(child) };
}

function startNode(script) {
  return (setup, options) => {
    const port = nextPort++;
    return startWords([process.execPath,
                       path.join(bench, 'peers/node', script), String(port)],
                      port, options);
  };
}

function startCeiling(...flags) {
  return (setup, options) => {
    const port = nextPort++;
    return startWords([setup.ceiling, '--port', String(port), ...flags,
                       ...(options.rooms > 10 ? ['--keep', '64'] : [])],
                      port, options);
  };
}

export const servers = {
  rung: {
    title: 'Rung',
    dialect: 'rung',
    note: 'every message fsynced before its first delivery',
    start: startRung,
  },
  'rung-socketio': {
    title: 'Rung over Socket.IO',
    dialect: 'rung-socketio',
    note: 'the same log, to stock Socket.IO clients',
    start: startRung,
  },
  nchan: {
    title: 'Nchan',
    dialect: 'nchan',
    note: 'messages in memory only: a restart loses them',
    start: startNchan,
  },
  'nchan-redis': {
    title: 'Nchan + Redis, fsync',
    dialect: 'nchan',
    note: 'Redis appends and fsyncs always; Nchan delivers through it',
    start: (setup, options) => startNchan(setup, { ...options, redis: true }),
  },
  socketio: {
    title: 'Socket.IO',
    dialect: 'socketio',
    note: 'nothing kept: who is away misses it',
    start: startNode('socketio.mjs'),
  },
  ws: {
    title: 'ws',
    dialect: 'ws',
    note: 'nothing kept: who is away misses it; WebSocket only',
    start: startNode('ws.mjs'),
  },
  ceiling: {
    title: 'bare loop',
    dialect: 'ceiling',
    note: 'no identity, no log, no disk; one send() a delivery',
    start: startCeiling(),
  },
  coalesce: {
    title: 'bare loop, coalescing',
    dialect: 'ceiling',
    note: 'the same, with all that is pending for a connection in one send()',
    start: startCeiling('--coalesce'),
  },
};

// ---- what is there ------------------------------------------------------------

function first(text) {
  return (text ?? '').trim().split('\n')[0];
}

function says(words) {
  const { stdout, stderr, error } = spawnSync(words[0], words.slice(1),
                                              { encoding: 'utf8' });
  return error ? undefined : first(stdout) || first(stderr);
}

function nodePackage(name) {
  const file = path.join(bench, 'peers/node/node_modules', name, 'package.json');
  return existsSync(file)
    ? JSON.parse(readFileSync(file, 'utf8')).version : undefined;
}

/** Which servers can be measured here, by version. */
export function versions(setup) {
  const nchan = existsSync('/usr/lib/nginx/modules/ngx_nchan_module.so');
  const nginx = nchan ? says([setup.nginx, '-v']) : undefined;
  const package_ = says(['dpkg-query', '-W', '-f', '${Version}',
                         'libnginx-mod-nchan']);
  const redis = says([setup.redis, '--version']);
  return {
    rung: says([setup.rung, 'version']),
    'rung-socketio': says([setup.rung, 'version']),
    nchan: nginx && `${nginx.replace('nginx version: ', '')}, ` +
           `libnginx-mod-nchan ${package_}`,
    'nchan-redis': nginx && redis && /v=\S+/.exec(redis)?.[0].replace('v=', 'redis '),
    socketio: nodePackage('socket.io') &&
              `${nodePackage('socket.io')}, node ${process.version}`,
    ws: nodePackage('ws') && `${nodePackage('ws')}, node ${process.version}`,
    ceiling: 'bench/ceiling.c',
    coalesce: 'bench/ceiling.c --coalesce',
  };
}
