/** Versions of tools: `1.34.4`, `v3.230.0`, `1.33.1+k3s1`, `0.8.0-rc.1`. */

export interface Range {
  readonly atLeast: string;
  /** The first version that is too new. */
  readonly below?: string;
}

const pattern = /(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?/;

/** The first version in a text; undefined without one. */
export function findVersion(text: string): string | undefined {
  return pattern.exec(text)?.[0];
}

/** Negative if `a` is older than `b`. A prerelease is older than its release. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  for (const [i, number] of left.numbers.entries()) {
    const difference = number - (right.numbers[i] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.prerelease === right.prerelease) return 0;
  if (left.prerelease === undefined) return 1;
  if (right.prerelease === undefined) return -1;
  return left.prerelease.localeCompare(right.prerelease, "en", { numeric: true });
}

export function isWithin(version: string, range: Range): boolean {
  return (
    compareVersions(version, range.atLeast) >= 0 &&
    (range.below === undefined || compareVersions(version, range.below) < 0)
  );
}

export function describeRange(range: Range): string {
  return range.below === undefined
    ? `${range.atLeast} or newer`
    : `${range.atLeast} or newer, but older than ${range.below}`;
}

function parse(version: string): { numbers: number[]; prerelease: string | undefined } {
  const match = pattern.exec(version);
  if (!match) throw new Error(`not a version: ${version}`);
  return { numbers: match.slice(1, 4).map(Number), prerelease: match[4] };
}
