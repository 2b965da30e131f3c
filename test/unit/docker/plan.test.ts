import { describe, expect, it } from "vitest";
import { ConfigError } from "../../../config/load/problem.ts";
import { addressIn, capacityOf, flawOf, overlap, upperHalf } from "../../../plan/network/index.ts";
import { isFatal } from "../../../preflight/evaluate.ts";
import { preflight } from "../../../preflight/preflight.ts";
import { dockerSiteYaml, onDocker } from "../../support/docker.ts";
import { judge, planWith } from "../../support/settings.ts";

function problems(experiment: string, selection: Parameters<typeof onDocker>[1] = {}): string[] {
  return judge(onDocker(experiment, selection).settings).problems.map(
    ({ rule, path }) => `${rule} ${path.join(".")}`,
  );
}
const backend = (path: string) => `harbor_agent: { environment_import_path: '${path}' }`;
const withHost = (host: string) => ({ site: `${dockerSiteYaml}docker: { host: "${host}" }\n` });

describe("a Docker site", () => {
  it("takes the shipped experiment of one node as it is", () => {
    expect(problems("")).toEqual([]);
  });

  it.each<[string, { yaml?: string; on?: Parameters<typeof onDocker>[1] }, string[]]>([
    [
      "a second node",
      {
        yaml: "proxy: { mode: litellm }",
        on: {
          base: "two-node",
          site: `${dockerSiteYaml}network: { sandbox_subnet: 172.30.248.0/21 }\n`,
        },
      },
      ["docker-single-node tier"],
    ],
    [
      "agent loops as proxy",
      { yaml: "proxy: { mode: in_process }" },
      ["docker-proxy-mode proxy.mode"],
    ],
    ["port 2375", { on: withHost("tcp://gpu-box:2375") }, ["C-30 site.docker.host"]],
    [
      "TLS without certificates",
      { on: { ...withHost("tcp://gpu-box:2376"), secrets: new Set(["dockerCa"]) } },
      ["docker-certificates site.docker.host"],
    ],
    [
      "a network too small for the sandboxes",
      {
        yaml: "sandbox: { parallel_trials: 256 }",
        on: { site: `${dockerSiteYaml}network: { sandbox_subnet: 172.30.244.0/24 }\n` },
      },
      ["docker-subnets site.network.sandbox_subnet"],
    ],
    [
      "Harbor's local class without the trials' path on the host",
      { yaml: backend("harbor.environments.docker.docker:DockerEnvironment") },
      ["docker-trials-path harbor_agent.environment_import_path"],
    ],
    [
      "sandboxes on a cluster",
      { yaml: backend("harbor_patch.environments.kubernetes.kubernetes:KubernetesEnvironment") },
      ["sandbox-backend harbor_agent.environment_import_path"],
    ],
  ])("refuses %s", (_, { yaml = "", on = {} }, expected) => {
    expect(problems(yaml, on)).toEqual(expected);
  });

  it("may be reached on port 2375 by a waiver with a reason", async () => {
    const waiver = "preflight: { waive: [{ rule: C-30, reason: an isolated test network }] }";
    const { findings } = await preflight(onDocker(waiver, withHost("tcp://127.0.0.1:2375")));
    const open = findings.filter((finding) => isFatal(finding)).map(({ id }) => id);
    expect(open).not.toContain("C-30");
  });

  it("is refused to a trainer on a cluster", () => {
    const { problems: found } = planWith(
      backend("harbor_patch.environments.remote_docker:RemoteDockerEnvironment"),
    );
    expect(found.map(({ rule }) => rule)).toEqual(["sandbox-backend"]);
  });

  it("says where a problem of its file stands", () => {
    const wrong = (site: string) => () => onDocker("", { site });
    expect(wrong(dockerSiteYaml.replace("kind: docker", "kind: podman"))).toThrow(ConfigError);
    expect(wrong(dockerSiteYaml.replace("kind: docker", "kind: podman"))).toThrow(
      'config/sites/docker.yaml:1:7 kind: must be one of kubernetes, docker; found "podman"',
    );
    expect(wrong(`${dockerSiteYaml}machin: {}\n`)).toThrow(
      "config/sites/docker.yaml:8:1 machin: unknown setting; it would be ignored silently. Did you mean machine?",
    );
    expect(wrong(`${dockerSiteYaml}docker: { host: "tcp://box" }\n`)).toThrow(
      "config/sites/docker.yaml:8:17 docker.host: must be unix:///path of the socket",
    );
  });
});

describe("networks", () => {
  it("are counted without the addresses that Docker keeps", () => {
    expect(addressIn("172.30.244.0/22", 2)).toBe("172.30.244.2");
    expect(addressIn("10.0.0.0/16", 258)).toBe("10.0.1.2");
    expect(upperHalf("172.30.244.0/22")).toBe("172.30.246.0/23");
    expect(capacityOf("172.30.244.0/22")).toBe(511);
  });

  it("overlap where one lies in the other", () => {
    expect(overlap("172.30.240.0/20", "172.30.244.0/22")).toBe(true);
    expect(overlap("172.30.240.0/24", "172.30.244.0/22")).toBe(false);
  });

  it("begin where their size allows", () => {
    expect(flawOf("172.30.245.0/22")).toBe("is not the first address of a network of 22 bits");
    expect(flawOf("172.300.0.0/22")).toBe("has a part above 255");
    expect(flawOf("172.30.244.0/22")).toBeUndefined();
  });
});
