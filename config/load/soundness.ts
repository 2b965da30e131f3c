/** What valid YAML may do that no configuration needs, and that would blow up on the way to plain values. */
import { isAlias, isMap, isPair, isScalar, isSeq, type Document, type Node } from "yaml";

/** Something in a file that is refused whatever the settings mean. */
export interface Unsound {
  readonly message: string;
  /** Characters from the beginning of the text. */
  readonly offset: number;
}

/** Characters of the longest file that is read. */
export const longestText = 1_000_000;

/** Levels of the deepest setting, with room to spare. */
const deepest = 40;

/** Values of one file, those behind aliases counted wherever they are used. */
const mostValues = 20_000;

interface Extent {
  readonly values: number;
  readonly levels: number;
}

const one: Extent = { values: 1, levels: 1 };

/** The first of everything that is wrong with the file's form; nothing: its values can be taken. */
export function findUnsound({ contents }: Document.Parsed): Unsound | undefined {
  try {
    new Survey().measure(contents, 1);
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return { message: error.message, offset: error.offset };
    throw error;
  }
}

class Refusal extends Error {
  readonly offset: number;

  constructor(node: { readonly range?: readonly number[] | null | undefined }, message: string) {
    super(message);
    this.offset = node.range?.[0] ?? 0;
  }
}

class Survey {
  /** Extent of what an anchor names; undefined while it is being measured. */
  readonly #anchors = new Map<string, Extent | undefined>();

  /** @throws {Refusal} */
  measure(node: unknown, level: number): Extent {
    if (!isNodeLike(node)) return one;
    if (isAlias(node)) return this.#measureAlias(node, level);
    demandKnownTag(node);
    const anchor = isScalar(node) || isMap(node) || isSeq(node) ? node.anchor : undefined;
    if (anchor !== undefined) this.#anchors.set(anchor, undefined);
    const extent = this.#measureInside(node, level);
    demandBounds(node, extent, level);
    if (anchor !== undefined) this.#anchors.set(anchor, extent);
    return extent;
  }

  #measureInside(node: Node, level: number): Extent {
    if (!isMap(node) && !isSeq(node)) return one;
    if (level > deepest) throw tooDeep(node);
    let [values, levels] = [1, 0];
    for (const item of node.items) {
      if (isPair(item)) demandPlainKey(item.key, node);
      const inner = this.measure(isPair(item) ? item.value : item, level + 1);
      values += inner.values;
      levels = Math.max(levels, inner.levels);
    }
    return { values, levels: levels + 1 };
  }

  #measureAlias(node: Node & { source: string }, level: number): Extent {
    const { source } = node;
    if (!this.#anchors.has(source)) {
      throw new Refusal(node, `*${source} refers to nothing: no &${source} stands before it`);
    }
    const extent = this.#anchors.get(source);
    if (!extent) throw new Refusal(node, `*${source} stands inside what it refers to`);
    demandBounds(node, extent, level);
    return extent;
  }
}

function demandBounds(node: Node, { values, levels }: Extent, level: number): void {
  if (values > mostValues) {
    throw new Refusal(node, `stands for more than ${mostValues} values. Write fewer aliases`);
  }
  if (level + levels > deepest + 2) throw tooDeep(node);
}

function tooDeep(node: Node): Refusal {
  return new Refusal(node, `is nested more than ${deepest} levels deep; no setting is`);
}

/** YAML 1.1 has sets, binary data and more, which are no settings. */
const knownTags = ["str", "int", "float", "bool", "null", "map", "seq"].map(
  (name) => `tag:yaml.org,2002:${name}`,
);

function demandKnownTag(node: Node): void {
  const tag = isAlias(node) ? undefined : (node as { tag?: string }).tag;
  if (tag === undefined || tag === "!" || knownTags.includes(tag)) return;
  throw new Refusal(node, `the tag ${tag} means nothing in a configuration`);
}

function demandPlainKey(key: unknown, parent: Node): void {
  const place = isNodeLike(key) ? key : parent;
  if (!isScalar(key)) {
    throw new Refusal(place, "a key must be a plain name, not a list, a mapping or an alias");
  }
  demandKnownTag(key);
  if (key.value === "__proto__") throw new Refusal(place, "__proto__ is not a setting");
}

function isNodeLike(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}
