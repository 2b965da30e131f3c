/** Serves the stand-in to Pulumi's engine; on the lab's PATH it is `pulumi-resource-random`. */
import { provider } from "@pulumi/pulumi";
import project from "../../package.json" with { type: "json" };
import { RandomStandIn } from "./provider.ts";

await provider.main(
  new RandomStandIn(project.dependencies["@pulumi/random"]),
  process.argv.slice(2),
);
