// A conversation entry by entry, both ways, page by page: from the cache where it holds
// an unbroken stretch, else from the server. The newest page is always asked for, and
// taken from the cache only when the server cannot be reached.

const PAGE = 50;

export class History {
  #ask;
  #cache;

  /**
   * @param {(params: object) => Promise<object>} ask message.history
   * @param {import('./cache.js').Cache} cache
   */
  constructor(ask, cache) {
    this.#ask = ask;
    this.#cache = cache;
  }

  /** One page by `before` or `after`, as the server gives it; what it says is cached. */
  async page(params) {
    const page = await this.#ask(params);
    await this.#cache.addPage(params, page);
    return page;
  }

  /** Newest first. */
  async *before(conversation, before) {
    for (let more = true; more;) {
      const page = await this.#older(conversation, before);
      for (const entry of [...page.messages].reverse()) yield entry;
      more = page.more && page.messages.length > 0;
      before = page.messages[0]?.seq;
    }
  }

  /** Oldest first. */
  async *after(conversation, after) {
    for (let more = true; more;) {
      const page = await this.#cache.after(conversation, after, PAGE)
        ?? await this.page({ conversation, after, limit: PAGE });
      yield* page.messages;
      more = page.more && page.messages.length > 0;
      after = page.messages.at(-1)?.seq;
    }
  }

  async #older(conversation, before) {
    const cached = before === undefined ? null : await this.#cache.before(conversation, before, PAGE);
    if (cached) return cached;
    try {
      return await this.page({ conversation, before, limit: PAGE });
    } catch (error) {
      const newest = before === undefined && error.retryable && await this.#cache.newest(conversation, PAGE);
      if (!newest) throw error;
      return newest;
    }
  }
}
