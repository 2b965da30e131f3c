/** The stand-in for Pulumi's random plugin. It supports RandomPassword, the one resource that the stacks use. */
import type { provider } from "@pulumi/pulumi";
import { makePassword, type PasswordSpec, problemsOf } from "./password.ts";
import { asSecret, isUnknown, plain } from "./values.ts";

type Inputs = Record<string, unknown>;

const passwordType = "random:index/randomPassword:RandomPassword";

/** The ID that the official plugin gives to passwords. */
const id = "none";

export class RandomStandIn implements provider.Provider {
  readonly version: string;

  /** @param version Of the SDK, so that the engine does not warn; marked as the stand-in. */
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
    // Every change replaces the password.
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

  // Not called for changes, since every change replaces.
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

/** The names of the changed inputs. */
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

/** In a preview, outputs of other resources are unknown. */
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
  return `The lab's stand-in for the random plugin does not support ${what}, only ${passwordType}. To use the official plugin, create the lab again with access to get.pulumi.com and github.com: npm run lab -- down, then npm run lab -- up.`;
}
