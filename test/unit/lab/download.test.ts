import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { download } from "../../../lab/tools/download.ts";
import { DownloadFailed, Network } from "../../../lab/tools/network.ts";
import type { FileDownload, ImageDownload } from "../../../lab/tools/tool.ts";

type Answer = string | Buffer | { status: number } | { play: "silence" | "trickle" };

let server: Server;
let base: string;
let folder: string;
let answers: Record<string, Answer>;
let requests: string[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "lab-download-"));
  answers = {};
  requests = [];
  server = createServer((request, response) => {
    const url = request.url ?? "";
    requests.push(url);
    const answer = answers[url.split("?")[0]!];
    if (answer === undefined) {
      response.writeHead(404).end();
    } else if (typeof answer === "string" || Buffer.isBuffer(answer)) {
      response.end(answer);
    } else if ("status" in answer) {
      response.writeHead(answer.status).end();
    } else if (answer.play === "trickle") {
      let sent = 0;
      const timer = setInterval(() => {
        response.write("x");
        if (++sent < 8) return;
        clearInterval(timer);
        response.end();
      }, 40);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterEach(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

const sha256 = (content: string | Buffer) => createHash("sha256").update(content).digest("hex");

function fileDownload(members?: Record<string, string>): FileDownload {
  return {
    kind: "file",
    version: "1.0.0",
    url: `${base}/tool.tgz`,
    checksum: { kind: "text", url: `${base}/sums` },
    ...(members ? { members } : {}),
  };
}

function archive(files: Record<string, string>): Buffer {
  const from = mkdtempSync(join(folder, "archive-"));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(from, name, ".."), { recursive: true });
    writeFileSync(join(from, name), text);
  }
  execFileSync("tar", ["-czf", join(folder, "a.tgz"), "-C", from, ...Object.keys(files)]);
  return readFileSync(join(folder, "a.tgz"));
}

function target(): string {
  return mkdtempSync(join(folder, "target-"));
}

describe("downloads", () => {
  it("fail when nothing answers, and the host is not contacted again", async () => {
    answers["/tool.tgz"] = { play: "silence" };
    const network = new Network(1000);
    const begin = performance.now();
    const directory = target();
    await expect(download("tool", fileDownload(), { directory, network })).rejects.toThrow(
      /^no answer from 127\.0\.0\.1/,
    );
    expect(performance.now() - begin).toBeLessThan(5000);
    await expect(network.text(`${base}/sums`)).rejects.toThrow(DownloadFailed);
    expect(requests).toEqual(["/tool.tgz"]);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("may take longer as long as bytes arrive", async () => {
    answers["/tool.tgz"] = { play: "trickle" };
    answers["/sums"] = `${sha256("xxxxxxxx")}  tool.tgz`;
    const directory = target();
    await download("tool", fileDownload(), { directory, network: new Network(200) });
    expect(readFileSync(join(directory, "tool"), "utf8")).toBe("xxxxxxxx");
  });

  it("contact all hosts at once, and accept any answer", async () => {
    const network = new Network(1000);
    answers["/"] = { status: 403 };
    await network.probe([`${base}/a`, `${base}/b`, "http://localhost:1/c"]);
    expect(requests).toEqual(["/"]);
    expect(network.silentHosts).toEqual(["localhost:1"]);
    expect(network.isSilent("http://localhost:1/d")).toBe(true);
  });

  it("are refused when the checksum does not match", async () => {
    answers["/tool.tgz"] = "something else";
    answers["/sums"] = `${sha256("the tool")}  tool.tgz`;
    const directory = target();
    const failing = download("tool", fileDownload(), { directory, network: new Network() });
    await expect(failing).rejects.toThrow(/tool\.tgz has the sha256 checksum/);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("are refused when the vendor publishes no checksum, or the file does not exist", async () => {
    answers["/tool.tgz"] = "the tool";
    answers["/sums"] = "nothing";
    const to = { directory: target(), network: new Network() };
    await expect(download("tool", fileDownload(), to)).rejects.toThrow(/has no checksum of tool/);
    delete answers["/tool.tgz"];
    await expect(download("tool", fileDownload(), to)).rejects.toThrow(/answers 404/);
  });

  it("install the executables of an archive", async () => {
    const packed = archive({ "pulumi/pulumi": "engine", "pulumi/host": "host", "pulumi/x": "x" });
    answers["/tool.tgz"] = packed;
    answers["/sums"] = `${sha256(packed)}  tool.tgz`;
    const directory = target();
    const wanted = fileDownload({ pulumi: "pulumi/pulumi", host: "pulumi/host" });
    await download("pulumi", wanted, { directory, network: new Network() });
    expect(readdirSync(directory).sort()).toEqual(["host", "pulumi"]);
    expect(readFileSync(join(directory, "host"), "utf8")).toBe("host");
  });
});

describe("downloads from a container registry", () => {
  function publish(layer: Buffer) {
    const manifest = JSON.stringify({
      layers: [{ digest: `sha256:${"0".repeat(64)}` }, { digest: `sha256:${sha256(layer)}` }],
    });
    const index = {
      manifests: [
        { digest: "sha256:other", platform: { os: "linux", architecture: "arm64" } },
        { digest: `sha256:${sha256(manifest)}`, platform: { os: "linux", architecture: "amd64" } },
      ],
    };
    answers["/v2/k/op/manifests/v1"] = JSON.stringify(index);
    answers[`/v2/k/op/manifests/sha256:${sha256(manifest)}`] = manifest;
    answers[`/v2/k/op/blobs/sha256:${sha256(layer)}`] = layer;
    const chart = archive({ "op/crds/ray.io_rayclusters.yaml": "definition" });
    answers["/chart.tgz"] = chart;
    answers["/index.yaml"] =
      `entries: {op: [{version: 1.0.0, digest: ${sha256(chart)}, urls: [chart.tgz]}]}`;
  }

  function imageDownload(): ImageDownload {
    return {
      kind: "image",
      version: "1.0.0",
      registry: base,
      repository: "k/op",
      tag: "v1",
      platform: { os: "linux", arch: "amd64" },
      member: "manager",
      chart: { index: `${base}/index.yaml`, name: "op", version: "1.0.0" },
    };
  }

  it("extract the program from its last layer, and the definitions from the chart", async () => {
    publish(archive({ manager: "the operator" }));
    const directory = target();
    await download("op", imageDownload(), { directory, network: new Network() });
    expect(readFileSync(join(directory, "op"), "utf8")).toBe("the operator");
    expect(readdirSync(join(directory, "crds"))).toEqual(["ray.io_rayclusters.yaml"]);
  });

  it("refuse a layer with another digest than the manifest names", async () => {
    const layer = archive({ manager: "the operator" });
    publish(layer);
    answers[`/v2/k/op/blobs/sha256:${sha256(layer)}`] = archive({ manager: "another" });
    const failing = download("op", imageDownload(), {
      directory: target(),
      network: new Network(),
    });
    await expect(failing).rejects.toThrow(/checksum/);
  });

  it("fail when the image is not for this platform", async () => {
    publish(archive({ manager: "the operator" }));
    const wanted = { ...imageDownload(), platform: { os: "linux", arch: "arm64" } } as const;
    answers["/v2/k/op/manifests/v1"] = JSON.stringify({ manifests: [] });
    const failing = download("op", wanted, { directory: target(), network: new Network() });
    await expect(failing).rejects.toThrow("k/op:v1 is not for linux/arm64");
  });
});
