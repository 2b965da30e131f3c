/** Amounts as Kubernetes writes them: `8`, `100m`, `1400Gi`, `1e9`. */

const factors: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  "": 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The amount as a number; 0 for what is absent or no quantity. */
export function amountOf(quantity: string | number | undefined): number {
  const [, digits = "", suffix = ""] =
    /^([+-]?[\d.]+(?:[eE][+-]?\d+)?)([A-Za-z]{0,2})$/.exec(String(quantity ?? "")) ?? [];
  return digits === "" ? 0 : Number(digits) * (factors[suffix] ?? 0);
}

/** Bytes as a person reads them: whole GiB, or one decimal below ten. */
export function inGiB(bytes: number): string {
  const amount = bytes / 2 ** 30;
  return `${amount >= 10 ? Math.floor(amount) : Math.floor(amount * 10) / 10}Gi`;
}
