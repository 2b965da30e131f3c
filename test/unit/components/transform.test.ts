import { describe, expect, it } from "vitest";
import { transformed } from "../../../components/transform.ts";

interface Args {
  replicas: number;
  image: string;
}

const child = () => ({ name: "proxy", args: { replicas: 2, image: "litellm" }, opts: {} });

describe("a transform of a child's arguments", () => {
  it("changes nothing where the user names none", () => {
    expect(transformed<Args>(undefined, child())).toEqual([
      "proxy",
      { replicas: 2, image: "litellm" },
      {},
    ]);
  });

  it("replaces the parts that it names", () => {
    const [, args] = transformed<Args>({ replicas: 5 }, child());
    expect(args).toEqual({ replicas: 5, image: "litellm" });
  });

  it("changes arguments and options in place, and knows the child's name", () => {
    const planned = child();
    const names: string[] = [];
    const [name, args, opts] = transformed<Args>((args, opts, name): undefined => {
      names.push(name);
      args.replicas = 3;
      opts.ignoreChanges = ["spec.replicas"];
    }, planned);
    expect([name, args.replicas, opts.ignoreChanges]).toEqual(["proxy", 3, ["spec.replicas"]]);
    expect(names).toEqual(["proxy"]);
    // The caller's own objects are not touched.
    expect(planned).toEqual(child());
  });
});
