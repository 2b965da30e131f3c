/** The stand-in for Pulumi's random plugin: the one resource that the stacks use, and a refusal of all others. */
import type { provider } from "@pulumi/pulumi";
import { makePassword, type PasswordSpec, problemsOf } from "./password.ts";
import { asSecret, isUnknown, plain } from "./values.ts";

type Inputs = Record<string, unknown>;

const passwordType = "random:index/randomPassword:RandomPassword";

/** As the official plugin: a password has no identity of its own. */
const id = "none";

export class RandomStandIn implements provider.Provider {
  readonly version: string;

  /** @param version Of the SDK, so that the engine does not complain; marked as the stand-in. */
  constructor(version: string) {
    this.version = `${version}+stand-in`;
  }

  check(urn: string, _olds: Inputs, news: Inputs): Promise<provider.CheckResult> {
    demandPassword(urn);
    const failures = isComplete(news) ? problemsOf(specOf(news)) : [];
    return Promise.resolve({ inputs: news, failures });
  }

  diff(
    ...request: [id: string, urn: string, olds: Inputs, news: Inputs]
  ): Promise<provider.DiffResult> {
    const [, urn, olds, news] = request;
    demandPassword(urn);
    // Not a word of the old password may be kept once anything about it is to be different.
    const replaces = changes(olds, news);
    return Promise.resolve({ changes: replaces.length > 0, replaces });
  }

  create(urn: string, inputs: Inputs): Promise<provider.CreateResult> {
    demandPassword(urn);
    const spec = specOf(inputs);
    const { overrideSpecial, ...rest } = spec;
    return Promise.resolve({
      id,
      outs: {
        ...rest,
        number: spec.numeric,
        ...(overrideSpecial === "" ? {} : { overrideSpecial }),
        ...(inputs["keepers"] === undefined ? {} : { keepers: inputs["keepers"] }),
        result: asSecret(makePassword(spec)),
      },
    });
  }

  // Everything that can change replaces; nothing is anywhere but in the state.
  update(_id: string, _urn: string, olds: Inputs): Promise<provider.UpdateResult> {
    return Promise.resolve({ outs: olds });
  }

  delete(): Promise<void> {
    return Promise.resolve();
  }

  invoke(token: string): Promise<provider.InvokeResult> {
    return Promise.reject(new Error(refusal(token)));
  }
}

/** The names of the inputs that are not what the state was made from. */
function changes(olds: Inputs, news: Inputs): string[] {
  const specKeys = Object.keys(specOf({ length: 1 })) as (keyof PasswordSpec)[];
  const [before, after] = [specOf(olds), specOf(news)];
  const changed: string[] = specKeys.filter(
    (key) => isUnknown(news[key]) || before[key] !== after[key],
  );
  const keepers = (inputs: Inputs) => JSON.stringify(sorted(plain(inputs["keepers"] ?? {})));
  if (keepers(olds) !== keepers(news)) changed.push("keepers");
  return changed;
}

function specOf(inputs: Inputs): PasswordSpec {
  const value = <T>(key: string, fallback: T) => (plain(inputs[key]) as T | undefined) ?? fallback;
  return {
    length: value("length", 0),
    upper: value("upper", true),
    lower: value("lower", true),
    // `number` is the old name.
    numeric: value("numeric", value("number", true)),
    special: value("special", true),
    minUpper: value("minUpper", 0),
    minLower: value("minLower", 0),
    minNumeric: value("minNumeric", 0),
    minSpecial: value("minSpecial", 0),
    overrideSpecial: value("overrideSpecial", ""),
  };
}

/** In a preview, inputs may be known only later. */
function isComplete(inputs: Inputs): boolean {
  return !Object.values(inputs).some(isUnknown);
}

function sorted(value: unknown): unknown {
  return typeof value === "object" && value !== null
    ? Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    : value;
}

function demandPassword(urn: string): void {
  const type = urn.split("::")[2]?.split("$").at(-1) ?? urn;
  if (type !== passwordType) throw new Error(refusal(type));
}

function refusal(what: string): string {
  return `the lab's stand-in for the random plugin does not know ${what}, only ${passwordType}. A lab that is made where get.pulumi.com and github.com answer has the official plugin (npm run lab -- down, then up).`;
}
