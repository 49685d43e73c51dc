// Medians and spread, and the records of one case found again.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (!sorted.length)
    return undefined;
  return sorted.length % 2 ? sorted[middle]
    : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** All repetitions of the cases that have these properties. */
export function found(records, wanted) {
  return records.filter((record) => !record.skipped && !record.error &&
    Object.entries(wanted).every(([name, value]) =>
      (record[name] ?? record.load?.[name]) === value));
}

export function values(records, wanted, field) {
  return found(records, wanted).map((record) => record.result[field])
    .filter((value) => value !== undefined);
}

export function middle(records, wanted, field) {
  return median(values(records, wanted, field));
}

/** The cases in order of appearance, each with its repetitions. */
export function byCase(records) {
  const cases = new Map();
  for (const record of records) {
    if (!cases.has(record.name))
      cases.set(record.name, []);
    cases.get(record.name).push(record);
  }
  return cases;
}

export function short(value) {
  if (value === undefined || Number.isNaN(value))
    return '–';
  if (value >= 1e6)
    return `${(value / 1e6).toFixed(2)}M`;
  if (value >= 10000)
    return `${(value / 1000).toFixed(0)}k`;
  if (value >= 1000)
    return `${(value / 1000).toFixed(1)}k`;
  return value >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
