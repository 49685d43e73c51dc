// Waiting on conditions. A test never sleeps to let something happen: it names
// what it waits for and a deadline, and fails with that name.

/* A wait that ends costs no more for its deadline being late, and a machine may
 * be busy with other things: each deadline is for the case that nothing comes. */
const slowness = Number(process.env.RUNG_TEST_SLOWNESS ?? 4);

/** A deadline in ms of a machine at rest, stretched by RUNG_TEST_SLOWNESS. */
export function ms(n) {
  return n * slowness;
}

export function pause(n) {
  return new Promise((resolve) => setTimeout(resolve, n));
}

/** `promise`, or an error that says what did not happen in time. */
export async function within(limit, promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      const text = typeof what === 'function' ? what() : what;
      reject(new Error(`not within ${ms(limit)} ms: ${text}`));
    }, ms(limit));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ask `condition` again until it answers something true; that is returned. */
export async function eventually(condition, what, limit = 5000) {
  const deadline = Date.now() + ms(limit);

  for (;;) {
    const answer = await condition();
    if (answer)
      return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${ms(limit)} ms: ` +
                      (typeof what === 'function' ? what() : what));
    await pause(20);
  }
}

/** Small reproducible random numbers (mulberry32). The seed is printed by the
 * stories that use it; RUNG_SEED tells the same story again. */
export function seeded(seed) {
  let a = seed >>> 0;
  const unit = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return {
    seed,
    unit,
    below: (n) => Math.floor(unit() * n),
    between: (low, high) => low + Math.floor(unit() * (high - low + 1)),
    pick: (list) => list[Math.floor(unit() * list.length)],
  };
}

export function chosenSeed() {
  return Number(process.env.RUNG_SEED ?? Math.floor(Math.random() * 2 ** 31));
}
