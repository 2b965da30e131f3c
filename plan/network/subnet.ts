/** Arithmetic with IPv4 networks, as `172.30.244.0/22`. */

/** The address with this number in a network; 1 is what Docker keeps for the gateway. */
export function addressIn(subnet: string, number: number): string {
  const { base } = parse(subnet);
  return format(base + number);
}

/** The half of a network from which Docker gives out addresses. */
export function upperHalf(subnet: string): string {
  const { base, bits } = parse(subnet);
  return `${format(base + 2 ** (31 - bits))}/${bits + 1}`;
}

/** Addresses in the upper half of a network: the last one is the broadcast's. */
export function capacityOf(subnet: string): number {
  return 2 ** (31 - parse(subnet).bits) - 1;
}

export function overlap(a: string, b: string): boolean {
  const [left, right] = [parse(a), parse(b)];
  const size = 2 ** (32 - Math.min(left.bits, right.bits));
  return Math.floor(left.base / size) === Math.floor(right.base / size);
}

/** Why the text is no network in spite of its form. */
export function flawOf(subnet: string): string | undefined {
  const { base, bits } = parse(subnet);
  if (
    subnet
      .split("/")[0]
      ?.split(".")
      .some((part) => Number(part) > 255)
  ) {
    return "has a part above 255";
  }
  const size = 2 ** (32 - bits);
  return base % size === 0 ? undefined : `is not the first address of a network of ${bits} bits`;
}

function parse(subnet: string): { base: number; bits: number } {
  const [address = "", bits = "32"] = subnet.split("/");
  const base = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return { base, bits: Number(bits) };
}

function format(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}
