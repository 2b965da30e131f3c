/**
 * Parsers of verl 0.9.1 (verl/experimental/agent_loop/tool_parser.py), by the names that vLLM gives to the same formats.
 * In proxy mode `in_process` our loop parses with verl's, since verl's servers answer with tokens.
 */
const parsers: Readonly<Record<string, string>> = {
  deepseek_v4: "deepseek_v4",
  gemma4: "gemma4",
  glm45: "glm",
  glm47: "glm",
  hermes: "hermes",
  kimi_k2: "kimi",
  minimax_m2: "minimax",
  openai: "gpt-oss",
  qwen3_coder: "qwen3_coder",
  qwen3_xml: "qwen3_coder",
  seed_oss: "seed",
};

/** verl's name for the format of vLLM's parser; undefined where verl has none. */
export function verlToolParser(ofVllm: string): string | undefined {
  return parsers[ofVllm];
}

/** Parsers of vLLM whose format verl reads, too. */
export const parsersOfBoth = Object.keys(parsers);
