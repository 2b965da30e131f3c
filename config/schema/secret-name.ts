/** Whether a key of the user's own may hold a secret, by its name. */
export function looksSecret(key: string): boolean {
  return /api_?key|secret|password|credential|access_?token/i.test(key);
}
