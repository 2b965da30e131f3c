/** One Hydra override of verl's configuration. */
export interface Override {
  readonly key: string;
  readonly value: OverrideValue;
  /** `++` adds the key where verl's configuration has none, and replaces it where a fork's has; the others must exist. */
  readonly prefix: "" | "++";
  /** Setting, rule or ruling that the value comes from. */
  readonly source: string;
}

export type OverrideValue =
  | string
  | number
  | boolean
  | null
  | readonly OverrideValue[]
  | { readonly [key: string]: OverrideValue };

/** Keys that verl's own configuration does not have, and that it reads all the same. Every `++` must match one. */
export const addableKeys: readonly RegExp[] = [
  /^ray_kwargs\.ray_init\.namespace$/,
  /^actor_rollout_ref\.rollout\.engine_kwargs\.vllm\.(served-model-name|tool-call-parser|enable-auto-tool-choice)$/,
  // Of the class RolloutConfig alone, not of its file.
  /^actor_rollout_ref\.rollout\.enable_sleep_mode$/,
  // The fork's alone.
  /^actor_rollout_ref\.actor\.fsdp_config\.router_replay\.mode$/,
  /^algorithm\.trajectory_filter\.(enable|drop_reasons)$/,
  /^async_training\.validation_rollout_min_idle_workers$/,
];

/** Writes an override as Hydra's grammar wants it. */
export function formatOverride({ prefix, key, value }: Override): string {
  return `${prefix}${key}=${formatValue(value)}`;
}

/** As it stands behind the `=`. */
export function formatValue(value: OverrideValue): string {
  if (value === null) return "null";
  if (typeof value === "string") return formatString(value);
  if (isList(value)) return `[${value.map(formatValue).join(",")}]`;
  if (typeof value === "object") {
    const pairs = Object.entries(value).map(([key, item]) => `${key}:${formatValue(item)}`);
    return `{${pairs.join(",")}}`;
  }
  return String(value);
}

/** `Array.isArray` does not narrow read-only arrays. */
function isList(value: OverrideValue): value is readonly OverrideValue[] {
  return Array.isArray(value);
}

/** Bare where Hydra reads the text as itself, quoted where it would see syntax, a number, a boolean or an interpolation. */
function formatString(text: string): string {
  if (
    /^[A-Za-z/_][\w./:-]*$/.test(text) &&
    !/^(true|false|yes|no|on|off|null|nan|inf)$/i.test(text)
  ) {
    return text;
  }
  // OmegaConf takes backslashes before an interpolation as escapes, Hydra those before a quote and at the end.
  const literal = text.replaceAll(/(\\*)\$\{/g, "$1$1\\${");
  const escaped = literal.replaceAll(/(\\*)'/g, "$1$1\\'").replace(/(\\+)$/, "$1$1");
  return `'${escaped}'`;
}
