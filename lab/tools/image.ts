/** Extracts one executable from a container image without a container runtime. */
import { createHash } from "node:crypto";
import { cpSync, existsSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { checksumOf, install, unpack, verify } from "./artifact.ts";
import { DownloadFailed, type Network } from "./network.ts";
import type { ImageDownload } from "./tool.ts";

interface Target {
  readonly directory: string;
  readonly scratch: string;
  readonly network: Network;
}

interface Descriptor {
  readonly digest: string;
  readonly platform?: { readonly os: string; readonly architecture: string };
}

const manifestTypes = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/**
 * Downloads the operator and its custom resource definitions. Verifies all content below the tag by its SHA-256.
 * @throws {DownloadFailed}
 */
export async function downloadImage(
  name: string,
  wanted: ImageDownload,
  to: Target,
): Promise<string> {
  const repository = `${wanted.registry}/v2/${wanted.repository}`;
  const manifests = `${repository}/manifests`;
  const authorization = await authorize(`${manifests}/${wanted.tag}`, to.network);
  const headers = { accept: manifestTypes, ...authorization };
  const index = JSON.parse(await to.network.text(`${manifests}/${wanted.tag}`, headers)) as {
    manifests?: Descriptor[];
    layers?: Descriptor[];
  };
  const layers =
    index.layers ??
    (await readLayers(index.manifests ?? [], wanted, { ...to, manifests, headers }));
  // The program is in one of the last layers.
  for (const { digest } of layers.toReversed()) {
    const layer = join(to.scratch, "layer");
    await to.network.save(`${repository}/blobs/${digest}`, layer, authorization);
    await verify(layer, sha256(digest));
    await unpack(layer, to.scratch, [wanted.member]).catch((error: unknown) => {
      if (!(error instanceof DownloadFailed)) throw error;
    });
    if (existsSync(join(to.scratch, wanted.member))) break;
  }
  if (!existsSync(join(to.scratch, wanted.member))) {
    throw new DownloadFailed(`${wanted.repository}:${wanted.tag} has no ${wanted.member}`);
  }
  install(join(to.scratch, wanted.member), join(to.directory, name));
  await downloadDefinitions(wanted.chart, to);
  return `${new URL(wanted.registry).host}/${wanted.repository}:${wanted.tag}`;
}

async function readLayers(
  manifests: readonly Descriptor[],
  wanted: ImageDownload,
  from: { network: Network; manifests: string; headers: Record<string, string> },
): Promise<Descriptor[]> {
  const { os, arch } = wanted.platform;
  const ours = manifests.find(
    ({ platform }) => platform?.os === os && platform.architecture === arch,
  );
  if (!ours)
    throw new DownloadFailed(`${wanted.repository}:${wanted.tag} is not for ${os}/${arch}`);
  const text = await from.network.text(`${from.manifests}/${ours.digest}`, from.headers);
  if (createHash("sha256").update(text).digest("hex") !== sha256(ours.digest).digest) {
    throw new DownloadFailed(
      `the manifest of ${wanted.repository}:${wanted.tag} is not ${ours.digest}`,
    );
  }
  return (JSON.parse(text) as { layers: Descriptor[] }).layers;
}

/** Gets an anonymous token, which registries require for public images. */
async function authorize(url: string, network: Network): Promise<Record<string, string>> {
  const challenge = (await network.head(url)).headers.get("www-authenticate") ?? "";
  const field = (name: string) => new RegExp(`${name}="([^"]*)"`).exec(challenge)?.[1];
  const realm = field("realm");
  if (realm === undefined) return {};
  const query = new URLSearchParams();
  for (const name of ["service", "scope"]) {
    const value = field(name);
    if (value !== undefined) query.set(name, value);
  }
  const { token } = JSON.parse(await network.text(`${realm}?${query.toString()}`)) as {
    token: string;
  };
  return { authorization: `Bearer ${token}` };
}

async function downloadDefinitions(chart: ImageDownload["chart"], to: Target): Promise<void> {
  const index = parse(await to.network.text(chart.index)) as {
    entries: Record<string, { version: string; digest: string; urls: string[] }[]>;
  };
  const release = index.entries[chart.name]?.find(({ version }) => version === chart.version);
  const url = release?.urls[0];
  if (!release || url === undefined) {
    throw new DownloadFailed(`${chart.index} has no ${chart.name} ${chart.version}`);
  }
  const file = join(to.scratch, "chart.tgz");
  await to.network.save(new URL(url, chart.index).href, file);
  await verify(file, sha256(release.digest));
  await unpack(file, to.scratch, [`${chart.name}/crds`]);
  cpSync(join(to.scratch, chart.name, "crds"), join(to.directory, "crds"), { recursive: true });
}

function sha256(digest: string): { algorithm: "sha256"; digest: string } {
  const checksum = checksumOf(digest.replace(/^sha256:/, ""));
  if (checksum?.algorithm !== "sha256") throw new DownloadFailed(`not a digest: ${digest}`);
  return { algorithm: "sha256", digest: checksum.digest };
}
