/** What is known of a policy: its `config.json` where this machine has it, over the catalogue. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { ModelFacts } from "../schema/models.ts";
import { readRegularFile } from "./regular-file.ts";
import { factsOfConfig } from "./hugging-face.ts";

interface Known {
  readonly facts?: ModelFacts | undefined;
  /** Why the named file cannot be used. */
  readonly problem?: string;
}

interface Model {
  readonly model_path: string;
  readonly config_file?: string | undefined;
}

export function readModelFacts(
  root: string,
  model: Model,
  catalogued: ModelFacts | undefined,
): Known {
  const beside = join(model.model_path, "config.json");
  const named = model.config_file !== undefined;
  const file = named ? resolve(root, model.config_file ?? "") : beside;
  if (!named && !existsSync(file)) return { facts: catalogued };
  let read;
  try {
    read = factsOfConfig(JSON.parse(readRegularFile(file) || "null"));
  } catch (error) {
    read = error instanceof Error ? error : new Error(String(error));
  }
  if (read !== undefined && !(read instanceof Error)) {
    return { facts: { tool_call_parser: {}, ...catalogued, ...read } };
  }
  // A file that the settings do not name may be anything; the catalogue still holds.
  if (!named) return { facts: catalogued };
  const why = read ? whyUnreadable(read) : "is not the configuration of a language model";
  return {
    problem: `${model.config_file ?? ""} ${why}. Name the config.json of the checkpoint, or leave model.config_file out.`,
  };
}

function whyUnreadable(error: Error & { code?: string }): string {
  if (error.code === "ENOENT") return "does not exist on this machine";
  if (error.code === "EISDIR") return "is a directory, not a file";
  if (error.code === "EACCES") return "may not be read by this user";
  return error instanceof SyntaxError
    ? "is not valid JSON"
    : `cannot be read: ${error.code ?? error.message}`;
}
