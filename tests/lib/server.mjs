// The server under test: build/rung (RUNG_BIN names another build), started on
// a port of its own with a data directory of its own. It must end as it was
// told to and must not have complained; finish() checks both.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { call, request } from './http.mjs';
import { token } from './token.mjs';
import { eventually, within } from './wait.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));

export const RUNG_BIN = path.resolve(process.env.RUNG_BIN ??
                                     path.join(root, 'build', 'rung'));

/** True when the build is instrumented, so memory says little. */
export const instrumented =
  /sanit|asan|tsan|ubsan|address|thread|undefined/i.test(RUNG_BIN);

const alarms = [
  /ERROR: \w*Sanitizer.*/,
  /WARNING: \w*Sanitizer.*/,
  /runtime error: .*/,
  /Assertion .* failed.*/,
];

/** What it says first: where it listens, for HTTP and for lines. */
const listening = new RegExp('http://127\\.0\\.0\\.1:(\\d+)' +
                             '(?: and tcp://127\\.0\\.0\\.1:(\\d+))?\n');

const children = new Set();
process.on('exit', () => {
  for (const child of children)
    child.kill('SIGKILL');
});

/** The server with what conformance suites want besides, of the same build. */
const CONFORMANCE_BIN = path.join(path.dirname(RUNG_BIN), 'tests',
                                  'conformance_server');

/** A folder that goes away with the tests. */
export async function temporaryFolder(name = 'rung-test-') {
  return mkdtemp(path.join(tmpdir(), name));
}

/** Run `rung args...` to its end → {code, signal, stdout, stderr}. */
export async function rung(args, { env = {}, input, limit = 20000 } = {}) {
  const child = spawn(RUNG_BIN, args, { env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';

  children.add(child);
  child.stdout.setEncoding('utf8').on('data', (text) => { stdout += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { stderr += text; });
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  try {
    return await within(limit, new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) =>
        resolve({ code, signal, stdout, stderr }));
    }), () => `rung ${args.join(' ')} ends; stderr: ${stderr}`);
  } finally {
    child.kill('SIGKILL');
    children.delete(child);
  }
}

export class Server {
  args;
  env;
  dir;
  port = 0;
  linePort = 0; // of raw TCP
  stderr = '';
  stdout = '';
  ownsDir;
  #child;
  #ended;
  #files = [];
  #mayEndBySignal;

  /** `apps` ({app: secret}) become a config file; `args` are further
   * arguments of `rung serve`; `demo` is on unless false. */
  static async start({ args = [], env = {}, apps, config, demo = true,
                       dir } = {}) {
    const server = new this();
    server.args = [...args];
    server.env = env;
    server.demo = demo;
    server.apps = apps ?? {};
    server.ownsDir = dir === undefined;
    server.dir = dir ?? await temporaryFolder();
    if (apps || config) {
      const entries = Object.entries(server.apps)
        .map(([app, secret]) => [app, { hs256: [secret] }]);
      const folder = await temporaryFolder('rung-config-');
      server.#files.push(folder);
      server.configFile = path.join(folder, 'rung.json');
      await writeFile(server.configFile,
                      JSON.stringify({ apps: Object.fromEntries(entries),
                                       ...config }));
      server.args.push('--config', server.configFile);
    }
    await server.start();
    return server;
  }

  /** The program and its arguments. */
  command() {
    return [RUNG_BIN, ['serve', '--listen', `127.0.0.1:${this.port}`,
                       '--listen-tcp', `127.0.0.1:${this.linePort}`,
                       '--data', this.dir, ...(this.demo ? ['--demo'] : []),
                       ...this.args]];
  }

  async start() {
    const child = spawn(...this.command(), {
      env: { ...process.env, ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';

    children.add(child);
    this.#child = child;
    this.#mayEndBySignal = undefined;
    this.#ended = new Promise((resolve) => {
      child.on('error', (error) => resolve({ error }));
      child.on('close', (code, signal) => {
        children.delete(child);
        resolve({ code, signal });
      });
    });
    child.stderr.setEncoding('utf8');
    child.stderr.on('data', (text) => { this.stderr += text; });
    child.stdout.setEncoding('utf8');
    const ready = new Promise((resolve, reject) => {
      child.stdout.on('data', (text) => {
        out += text;
        this.stdout += text;
        const found = listening.exec(out);
        if (found)
          resolve(found.slice(1).map((port) => Number(port ?? 0)));
      });
      this.#ended.then(({ error, code, signal }) =>
        reject(error ?? new Error(`rung ended at once (${code ?? signal}): ` +
                                  this.stderr.slice(-2000))));
    });
    ready.catch(() => {});
    [this.port, this.linePort] = await within(15000, ready, () =>
      `the server says where it listens; stderr: ${this.stderr.slice(-2000)}`);
  }

  get url() {
    return this.urlFor();
  }

  /** The same for raw TCP, whose followers take nothing of it but the port. */
  urlFor(transport) {
    const port = transport === 'tcp' ? this.linePort : this.port;
    return `http://127.0.0.1:${port}`;
  }

  get pid() {
    return this.#child.pid;
  }

  get running() {
    return children.has(this.#child);
  }

  /** Resolves to {code, signal} when the process has ended. */
  get ended() {
    return this.#ended;
  }

  signal(name) {
    this.#child.kill(name);
  }

  /** SIGTERM, and it must end by itself with status 0 (or one of `codes`). */
  async stop(limit = 10000, codes = [0]) {
    if (!this.running)
      return;
    if (this.#mayEndBySignal !== 'SIGTERM') {
      this.#mayEndBySignal = 'SIGTERM';
      this.signal('SIGTERM');
    }
    await this.#endsWell(limit, codes);
  }

  async #endsWell(limit, codes) {
    let end;
    try {
      end = await within(limit, this.#ended, () =>
        `the server ends after SIGTERM; stderr: ${this.stderr.slice(-2000)}`);
    } catch (error) {
      this.#mayEndBySignal = 'SIGKILL';
      this.signal('SIGKILL');
      throw error;
    }
    if (!codes.includes(end.code))
      throw new Error(`the server ended with ${end.code ?? end.signal}: ` +
                      this.stderr.slice(-4000));
  }

  /** kill -9. */
  async kill() {
    this.#mayEndBySignal = 'SIGKILL';
    this.signal('SIGKILL');
    const end = await within(5000, this.#ended, 'the killed server is gone');
    if (end.signal !== 'SIGKILL')
      throw new Error(`the server ended with ${end.code ?? end.signal} ` +
                      `before it was killed: ${this.stderr.slice(-4000)}`);
  }

  /** Stop (or, when already ended, just start again) on the same port with
   * the same data. */
  async restart() {
    await this.stop();
    await this.start();
  }

  /** The end of a test: stop it, look at what it said, remove its files. */
  async finish() {
    try {
      if (this.running)
        await this.stop();
      else if (this.#mayEndBySignal === undefined)
        throw new Error('the server ended by itself: ' +
                        `${JSON.stringify(await this.#ended)} ` +
                        this.stderr.slice(-4000));
      this.assertQuiet();
    } finally {
      if (this.ownsDir)
        await rm(this.dir, { recursive: true, force: true });
      for (const folder of this.#files)
        await rm(folder, { recursive: true, force: true });
    }
  }

  /** No sanitizer report and no failed assertion so far. */
  assertQuiet() {
    for (const alarm of alarms) {
      const found = alarm.exec(this.stderr);
      if (found)
        throw new Error('the server reported: ' +
                        this.stderr.slice(found.index, found.index + 6000));
    }
  }

  call(method, params, options) {
    return call(this.url, method, params, options);
  }

  get(target, options) {
    return request(this.url + target, options);
  }

  async login(user) {
    return (await this.call('demo.login', { user })).token;
  }

  /** A token of an app from the `apps` this server was started with. */
  token(sub, { app = Object.keys(this.apps)[0], ...claims } = {}) {
    return token({ app, sub, secret: this.apps[app], ...claims });
  }

  /** One counter or gauge of /metrics, summed over its labels that match. */
  async metric(name, labels = '') {
    const { text } = await this.get('/metrics');
    let sum;
    for (const line of text.split('\n')) {
      const found = /^([a-z_0-9]+)(\{[^}]*\})?\s+([-+.0-9eE]+)/.exec(line);
      if (found && found[1] === name && (found[2] ?? '').includes(labels))
        sum = (sum ?? 0) + Number(found[3]);
    }
    return sum;
  }

  /** Anonymous resident memory: what the server itself holds, without the
   * pages of the log that the kernel maps and may take back. */
  async memoryKb() {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/RssAnon:\s+(\d+)/.exec(status)[1]);
  }

  /** The server answers on its port. */
  async answers() {
    await eventually(async () => {
      try {
        return (await this.get('/healthz')).status === 200;
      } catch {
        return false;
      }
    }, 'the server answers /healthz');
  }
}

export class ConformanceServer extends Server {
  command() {
    return [CONFORMANCE_BIN, ['--port', String(this.port)]];
  }
}
