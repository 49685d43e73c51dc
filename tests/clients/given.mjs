// The clients of clients/, each as the program that a user would start. They
// take the same arguments and speak the same lines, so one story fits all.

import { spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { eventually, within } from '../lib/wait.mjs';

const room = fileURLToPath(new URL('../../clients/', import.meta.url));
const file = (name) => path.join(room, name);

function built(command, args) {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
}

/** `needs` are the programs it takes; `command` gives the start of its command
 * line, after building what has to be built in `folder`. */
export const languages = [
  { name: 'shell', needs: ['sh', 'curl', 'jq'],
    command: () => ['sh', file('rung.sh')] },
  { name: 'Python', needs: ['python3'],
    command: () => ['python3', file('rung.py')] },
  { name: 'Perl', needs: ['perl'], command: () => ['perl', file('rung.pl')] },
  { name: 'PHP', needs: ['php'], command: () => ['php', file('rung.php')] },
  { name: 'Java', needs: ['java', 'javac'], command(folder) {
    built('javac', ['-Xlint', '-Werror', '-d', folder, file('Rung.java')]);
    return ['java', '-XX:TieredStopAtLevel=1', '-cp', folder, 'Rung'];
  } },
  { name: 'C', needs: ['cc'], command(folder) {
    built('cc', ['-std=c11', '-Wall', '-Wextra', '-Werror', '-O1',
                 '-o', path.join(folder, 'rung'), file('rung.c')]);
    return [path.join(folder, 'rung')];
  } },
];

/** Why a language cannot be tried here, or false. */
export function missing({ needs }) {
  const lacks = needs.filter((program) => spawnSync('sh', [
    '-c', `command -v ${program}`]).status !== 0);
  return lacks.length > 0 && `not installed: ${lacks.join(', ')}`;
}

const running = new Set();
process.on('exit', () => {
  for (const client of running)
    client.signal('SIGKILL');
});

export const escaped = (text) => text.replace(/[\\\t\n\r]/g, (c) =>
  ({ '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' })[c]);

/** A client at work, with what it has printed. In a process group of its own,
 * so that it can be killed with all that it has started. */
export class Client {
  lines = [];
  stderr = '';
  #child;
  #rest = '';

  constructor(command, url, who, cursorFile) {
    this.cursorFile = cursorFile;
    this.who = who;
    this.#child = spawn(command[0], [...command.slice(1), url, who, cursorFile],
                        { detached: true });
    running.add(this);
    this.exited = new Promise((resolve, reject) => {
      this.#child.on('error', reject);
      this.#child.on('exit', (code, signal) => {
        this.over = true;
        running.delete(this);
        resolve({ code, signal });
      });
    });
    this.#child.stdin.on('error', () => {});
    this.#child.stderr.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text) => {
      const lines = (this.#rest + text).split('\n');
      this.#rest = lines.pop();
      this.lines.push(...lines);
    });
  }

  /** Type lines of [to, text]. */
  type(...messages) {
    for (const [to, text] of messages)
      this.#child.stdin.write(`${to}\t${escaped(text)}\n`);
  }

  endOfInput() {
    this.#child.stdin.end();
  }

  /** It has printed `n` lines, or goes on until it has. */
  async printed(n) {
    await eventually(() => this.lines.length >= n || this.over,
      () => `${this.who} prints ${n} lines; it has ${this.lines.join('\n')} ` +
      `and said ${this.stderr}`, 60000);
    if (this.lines.length < n)
      throw new Error(`${this.who} ended: ${this.stderr}`);
  }

  async said(pattern) {
    await eventually(() => pattern.test(this.stderr),
      () => `${this.who} says ${pattern}; so far: ${this.stderr}`, 60000);
  }

  /** The cursor in its file, once that satisfies `wanted`. */
  saved(wanted) {
    return eventually(async () => {
      const cursor = (await readFile(this.cursorFile, 'utf8').catch(() => ''))
        .trim();
      return cursor !== '' && wanted(cursor) && cursor;
    }, `${this.who} has saved its cursor`, 60000);
  }

  signal(name) {
    try {
      process.kill(-this.#child.pid, name);
    } catch {
      // nobody is left
    }
  }

  /** SIGTERM to the program alone, as kill(1) does. */
  async stop() {
    this.#child.kill('SIGTERM');
    await within(10000, this.exited, `${this.who} ends after SIGTERM`);
    this.signal('SIGKILL'); // a curl may still wait for an answer
  }

  async kill() {
    this.signal('SIGKILL');
    await within(10000, this.exited, `${this.who} is gone`);
  }
}

/** An HTTP proxy that treats the next requests to a path as it is told:
 * `mishaps` is {path: [function of (res, forward), …]}. What it lets through
 * says the same in other JSON: in ASCII, with blanks. */
export class Mishaps {
  seen = [];

  static async open(to, mishaps) {
    const proxy = new Mishaps();
    proxy.server = http.createServer((req, res) => {
      const parts = [];
      req.on('data', (part) => parts.push(part));
      req.on('end', () => {
        const { pathname } = new URL(req.url, to);
        const body = Buffer.concat(parts);
        const forward = (then) => {
          const up = http.request(to + req.url, {
            method: req.method, headers: { ...req.headers, connection: 'close' },
            agent: false,
          }, (answer) => {
            const got = [];
            answer.on('data', (part) => got.push(part));
            answer.on('end', () => then(answer, Buffer.concat(got)));
          });
          up.on('error', () => res.destroy());
          res.on('close', () => up.destroy());
          up.end(body);
        };
        const seen = { path: pathname, url: req.url, body: body.toString() };
        proxy.seen.push(seen);
        const mishap = mishaps[pathname]?.shift() ?? through;
        mishap(res, forward, seen);
      });
    });
    await new Promise((resolve) => {
      proxy.server.listen(0, '127.0.0.1', resolve);
    });
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  to(pathname) {
    return this.seen.filter((request) => request.path === pathname);
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}

const ascii = (body) => Buffer.from(JSON.stringify(JSON.parse(body), null, 1)
  .replace(/[^\0-~]/g, (unit) =>
    `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));

const through = (res, forward, seen) => forward((answer, original) => {
  const body = ascii(original);
  seen.answer = body.toString();
  res.writeHead(answer.statusCode, { connection: 'close',
                                     'content-length': body.length });
  res.end(body);
});

/** The server has done it, the answer is lost. */
export const lost = (res, forward) => forward(() => res.destroy());

/** The server has done it, half of the answer arrives. */
export const halved = (res, forward) => forward((answer, body) => {
  res.writeHead(answer.statusCode, { 'content-length': body.length });
  res.write(body.subarray(0, body.length / 2), () => res.destroy());
});

/** Something in between answers instead. */
export const answers = (status, text) => (res) => {
  res.writeHead(status, { 'content-type': 'text/html', connection: 'close' });
  res.end(text);
};
