import { describe, expect, it } from "vitest";
import { differences } from "../../../cli/docs/docker.ts";
import { projectRoot } from "../../support/settings.ts";

describe("the same experiment on a cluster and on a Docker host", () => {
  it("has the same trainer but for where sandboxes are made", () => {
    const trainer = differences(projectRoot)
      .map(({ decision }) => decision)
      .filter((decision) =>
        /^(trainer|environment|override|batches|engine|topology)/.test(decision),
      );
    expect(trainer.sort()).toEqual([
      "environment DOCKER_HOST",
      "environment HARBOR_ENVIRONMENT_FORCE_BUILD",
      "environment HARBOR_ENVIRONMENT_IMPORT_PATH",
      "environment HARBOR_K8S_EGRESS_ISOLATION",
      "environment HARBOR_K8S_INLINE_BUILD",
      "environment K8S_KUBECONFIG",
      "environment K8S_NAMESPACE",
      "environment K8S_POD_ACTIVE_DEADLINE_SECONDS",
      "environment K8S_POD_STARTUP_TIMEOUT",
      "environment K8S_VAL_POD_ACTIVE_DEADLINE_SECONDS",
      "environment K8S_VAL_POD_STARTUP_TIMEOUT",
    ]);
  });

  it("differs otherwise only in what the host is, and in what a host has one of", () => {
    const others = differences(projectRoot)
      .map(({ decision }) => decision)
      .filter((decision) => !/^(environment|dockerHost)/.test(decision));
    expect(others).toEqual(["proxy.replicas", "admission.mutation", "isolation.targets"]);
  });
});
