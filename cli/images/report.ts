import type { ImageOnNode, ImageState } from "./states.ts";

/** How many nodes a line names. */
const shownNodes = 5;

/** The worst first. */
const states: readonly ImageState[] = ["missing", "unknown", "waiting", "there"];

export interface Report {
  readonly lines: readonly string[];
  /** 0: every image is on every node. 1: some cannot be pulled. 3: unknown, or not pulled yet. */
  readonly code: 0 | 1 | 3;
}

/** By image: on which nodes it is not, and why. */
export function report(found: readonly ImageOnNode[]): Report {
  if (found.length === 0) {
    return { lines: ["no pod of the pre-pull is there: nothing is known"], code: 3 };
  }
  const nodes = new Set(found.map(({ node }) => node));
  const images = Map.groupBy(found, ({ image }) => image);
  const lines = states.flatMap((state) =>
    [...images].flatMap(([image, rows]) =>
      describe(
        image,
        rows.filter((row) => row.state === state),
        nodes.size,
      ),
    ),
  );
  const has = (state: ImageState) => found.some((row) => row.state === state);
  const missing = [...images].filter(([, rows]) => rows.some(({ state }) => state === "missing"));
  if (missing.length === 0) return { lines, code: has("unknown") || has("waiting") ? 3 : 0 };
  const consequence = `${missing.length} of ${images.size} images cannot be pulled everywhere: trials with them have no turns and a reward of zero, in validation as well`;
  return { lines: [...lines, consequence], code: 1 };
}

function describe(image: string, rows: readonly ImageOnNode[], nodes: number): string[] {
  const [first] = rows;
  if (first === undefined) return [];
  const where = `on ${rows.length} of ${nodes} nodes`;
  if (first.state === "there") return [`there    ${image} ${where}`];
  const names = rows.slice(0, shownNodes).map(({ node }) => node);
  const more = rows.length > shownNodes ? ", …" : "";
  return [
    `${first.state.padEnd(7)}  ${image} ${where} (${names.join(", ")}${more}): ${first.reason}`,
  ];
}
