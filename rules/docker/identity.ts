import { compare, consequence, unwaivable } from "../identity.ts";
import { defineDockerRule } from "../rule.ts";

export const daemonIdentity = defineDockerRule({
  id: "docker-identity",
  title: "the Docker daemon that the stack's state is about",
  severity: "fatal",
  consequence,
  remedy:
    "point docker.host in the site file back to the former daemon; or leave it first: pulumi destroy; or use another stack: pulumi stack init NAME",
  source: "docs/operations.md#the-right-cluster",
  unwaivable,
  check: ({ docker, recorded, facts: { identity } }) =>
    compare(identity, { recorded, name: docker.host, kind: "daemon" }),
});
