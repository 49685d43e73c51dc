// A client that always comes back: whenever its connection is lost it opens the
// next one, over whatever transport `pick` says, with the cursor it has.

import { follow } from './followers.mjs';
import { pause } from './wait.mjs';

export class Roamer {
  transcript = [];
  connections = 0;
  used = new Map();
  #going = true;
  #current;

  constructor({ pick, random, onEvent, ...options }) {
    this.pick = pick;
    this.random = random;
    this.onEvent = onEvent;
    this.options = options;
    this.cursor = options.cursor ?? '0';
    this.running = this.#roam();
    this.running.catch(() => {});
  }

  async #roam() {
    while (this.#going) {
      const transport = this.pick();
      const follower = await follow(transport, {
        wait: 5,
        interval: 10,
        ...this.options,
        patient: false,
        cursor: this.cursor,
        ...(this.options.urlFor && { url: this.options.urlFor(transport) }),
      });

      this.#current = follower;
      if (!this.#going) // stopped while it was being opened
        follower.drop();
      this.connections++;
      this.used.set(transport, (this.used.get(transport) ?? 0) + 1);
      for await (const event of follower) {
        this.cursor = follower.cursor;
        this.transcript.push(event);
        this.onEvent?.(event, follower);
      }
      // a poll moves on without an event, too
      if (follower.cursor !== undefined)
        this.cursor = follower.cursor;
      if (follower.end.status !== undefined && follower.end.status < 500 &&
          follower.end.status !== 429)
        throw new Error(`refused: ${JSON.stringify(follower.end)}`);
      follower.drop();
      await pause(this.random.between(0, 15)); // back off, with jitter
    }
  }

  /** The connection it has, or had; undefined before the first. */
  get current() {
    return this.#current;
  }

  /** Leave the present transport as a client does that switches. */
  hop() {
    this.#current?.drop();
  }

  async stop() {
    this.#going = false;
    this.#current?.drop();
    await this.running;
  }
}
