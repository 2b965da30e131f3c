/** Whether a key may hold a secret, by its name; counts such as `max_tokens` hold none. */
export function looksSecret(key: string): boolean {
  return /(api|access|private)_?key|secret|password|credential|(access|api|auth|hf)_?token|^token$/i.test(
    key,
  );
}
