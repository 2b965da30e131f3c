/** Whether a key names a secret, so that its value may stand in no file; `max_tokens` and `prompt_key` do not. */
export function looksSecret(key: string): boolean {
  return /(api|access|private)_?key|secret|password|credential|(access|api|auth|hf)_?token|^token$/i.test(
    key,
  );
}

/** Whether a text may have to do with a secret, so that a value beside it is not shown: rather too often than once too little. */
export function mayBeSecret(text: string): boolean {
  return /key|secret|password|token|credential/i.test(text);
}
