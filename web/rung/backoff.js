// Full jitter: a delay drawn evenly from 0 to a ceiling that doubles with every
// attempt, so that clients cut off together do not come back together.

export const BASE_MS = 500;
export const CAP_MS = 30_000;

/**
 * @param {number} attempt 0 for the first retry
 * @param {() => number} random evenly in [0, 1)
 * @returns {number} milliseconds
 */
export function fullJitter(attempt, random) {
  return Math.round(random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt));
}
