import { readRegularFile } from "./regular-file.ts";
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  LineCounter,
  type Pair,
  parseDocument,
  type YAMLMap,
} from "yaml";
import type { Location, Problem, SettingPath } from "./problem.ts";
import { findUnsound, longestText } from "./soundness.ts";

/** A parsed YAML file that knows where each of its settings stands. */
export interface SourceFile {
  /** Path as the user is shown it, relative to the project. */
  readonly file: string;
  /** The settings, without the wrapping of an original `config.yaml`. */
  readonly settings: Record<string, unknown>;
  /** Where a setting's value stands in this file, if it does. */
  locate(path: SettingPath): Location | undefined;
  /** Where a key stands (for unknown keys). */
  locateKey(path: SettingPath): Location | undefined;
}

export type ReadResult =
  | { readonly ok: true; readonly source: SourceFile }
  | { readonly ok: false; readonly problems: Problem[] };

/** Keys of the original system's file around the settings. */
const wrapper = ["runtime_info", "input"] as const;

/** Texts of files that are not written yet, by absolute path; they stand for what is on the disk. */
export type Drafts = ReadonlyMap<string, string>;

/** A file of the longest text has at most so many bytes. */
const mostBytes = 4 * longestText;

/** Reads one YAML file. `absolute` is read, `file` is shown. */
export function readSource(absolute: string, file: string, drafts: Drafts): ReadResult {
  let text: string;
  try {
    text = drafts.get(absolute) ?? readRegularFile(absolute, mostBytes);
  } catch (error) {
    return { ok: false, problems: [{ path: [], message: unreadable(file, error) }] };
  }
  const lines = new LineCounter();
  const at = (offset: number): Location => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const refuse = (message: string, offset = 0): ReadResult => ({
    ok: false,
    problems: [{ path: [], message, location: at(offset) }],
  });
  if (text.length > longestText) {
    return refuse(`is longer than ${longestText} characters; that is no configuration`);
  }
  const document = parseOrGiveUp(text, lines);
  if (!document) return refuse(`not valid YAML: ${tooDeep}`);
  // YAML leaves an unknown tag out silently.
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0) {
    const problems = complaints.map((error) => ({
      path: [],
      message: `not valid YAML: ${explain(error.message)}`,
      location: at(error.pos[0]),
    }));
    return { ok: false, problems };
  }
  const root = document.contents;
  if (root !== null && !isMap(root)) {
    return refuse("must be a mapping of sections, such as `model:` and `data:`", root.range[0]);
  }
  const unsound = findUnsound(document);
  if (unsound) return refuse(unsound.message, unsound.offset);
  const value: unknown = document.toJS({ maxAliasCount: -1 });
  const offsetOf = (path: SettingPath, part: "key" | "value") =>
    find(root, path, part) ?? find(root, [...wrapper, ...path], part);
  const locateWith = (part: "key" | "value") => (path: SettingPath) => {
    const offset = offsetOf(path, part);
    return offset === undefined ? undefined : at(offset);
  };
  return {
    ok: true,
    source: {
      file,
      settings: unwrap((value ?? {}) as Record<string, unknown>),
      locate: locateWith("value"),
      locateKey: locateWith("key"),
    },
  };
}

/** An original `config.yaml` nests the settings under `runtime_info.input`; what stands around them has no meaning here. */
function unwrap(root: Record<string, unknown>): Record<string, unknown> {
  const { meta_info: _, ...outer } = root;
  const runtime = outer["runtime_info"];
  if (!isRecord(runtime)) return outer;
  delete outer["runtime_info"];
  const input = runtime["input"];
  return isRecord(input) ? { ...input, ...outer } : outer;
}

function find(root: YAMLMap | null, path: SettingPath, part: "key" | "value"): number | undefined {
  if (root === null) return undefined;
  if (path.length === 0) return part === "value" ? root.range?.[0] : undefined;
  const parent = path.length === 1 ? root : root.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find(
      ({ key }) => String(isScalar(key) ? key.value : key) === String(last),
    );
    return pair && offsetOfPair(pair, part);
  }
  const node = root.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}

function offsetOfPair(pair: Pair, part: "key" | "value"): number | undefined {
  const wanted = part === "value" && isNode(pair.value) ? pair.value : pair.key;
  return isNode(wanted) ? wanted.range?.[0] : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const tooDeep = "nested too deeply";

/** The parser goes down as many levels as the stack of calls has; it does not always say so itself. */
function parseOrGiveUp(text: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parseDocument(text, { lineCounter, prettyErrors: false });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function explain(message: string): string {
  return message.includes("call stack") ? tooDeep : message;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unreadable(file: string, error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOENT") return `${file} does not exist`;
  if (code === "EISDIR") return `${file} is a directory, not a file`;
  if (code === "EACCES") return `${file} may not be read by this user`;
  return `${file} cannot be read: ${messageOf(error)}`;
}
