/** A stack is on one cluster, or on one Docker host, for all of its life. */
import type { Fact } from "../preflight/facts/fact.ts";
import { met, notRead, type Recorded, type Verdict } from "./rule.ts";

export const consequence =
  "every object would count as there already, the former run would keep its GPUs, and destroy would delete here what is not this stack's";

export const unwaivable = "destroy would delete what is not the stack's";

/** Without a record there is nothing to compare. */
export function compare(
  now: Fact<string>,
  { recorded, name, kind }: { recorded: Recorded | undefined; name: string; kind: string },
): Verdict[] {
  if (recorded === undefined) return [];
  const expected = `${kind} ${recorded.identity}, which was called ${recorded.name}`;
  if (!now.known) return [notRead(now.reason, expected)];
  if (now.value === recorded.identity) return [met(`${kind} ${now.value}`)];
  return [{ found: `${name} is ${kind} ${now.value}`, expected }];
}
