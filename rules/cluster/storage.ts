/** Whether the claims of a stack will find their volumes. */
import type { Plan } from "../../plan/plan.ts";
import type { Volume } from "../../plan/storage/storage.ts";
import type { ClaimFact, StorageClassFact, VolumeFact } from "../../preflight/facts/storage.ts";
import { broken, type Finding, met, unknown } from "../finding.ts";
import { amountOf, inGiB } from "../../preflight/quantity.ts";
import type { Rule } from "./rule.ts";

/** Provisioner of classes whose volumes somebody makes by hand. */
const byHand = "kubernetes.io/no-provisioner";

export const storageClasses: Rule = ({ plan, facts: { storageClasses: classes } }) => {
  const id = "storage-class";
  const wanted = new Set(claimed(plan).map(({ backing }) => backing.storage_class));
  return [...wanted].map((name): Finding => {
    const expected = name === undefined ? "a default storage class" : `storage class ${name}`;
    if (!classes.known) return unknown(id, classes.reason, expected);
    const found = classOf(name, classes.value);
    if (found) return met(id, `${found.name} (${found.provisioner})`);
    const there = classes.value.map((one) => one.name).join(", ") || "none";
    if (name !== undefined) return broken(id, { found: `only ${there}`, expected });
    return broken(id, {
      found: `no default among ${there}`,
      expected,
      remedy:
        "name a class in the site file under storage, or mark one: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true",
    });
  });
};

/** Checkpoints are kept on destroy, but a class may delete what the claim held when somebody deletes the claim. */
export const storageReclaim: Rule = ({ plan, facts: { storageClasses: classes } }) => {
  const id = "storage-reclaim";
  const kept = claimed(plan).filter(({ removal, readOnly }) => removal === "retain" && !readOnly);
  const names = [...new Set(kept.map(({ backing }) => backing.storage_class))];
  return names.flatMap((name): Finding[] => {
    if (!classes.known) return [unknown(id, classes.reason)];
    const found = classOf(name, classes.value);
    // storage-class says that it is missing.
    if (!found) return [];
    const policy = `${found.name} has reclaim policy ${found.reclaimPolicy}`;
    return [found.reclaimPolicy === "Retain" ? met(id, policy) : broken(id, { found: policy })];
  });
};

/** Volumes that the site names exist, are free for us, and are large enough. */
export const storageVolumes: Rule = ({ plan, facts: { volumes } }) => {
  const id = "storage-volume";
  return plan.storage.volumes.flatMap((wanted): Finding[] => {
    const { backing } = wanted;
    if (backing.kind !== "existing") return [];
    const expected = `volume ${backing.volume}, ${backing.access_mode}, free for claim ${wanted.name}`;
    if (!volumes.known) return [unknown(id, volumes.reason, expected)];
    const volume = volumes.value.find(({ name }) => name === backing.volume);
    const wrong = wrongWith(volume, backing.access_mode, claimName(plan, wanted));
    if (!wrong) return [met(id, `${backing.volume} (${inGiB(volume?.bytes ?? 0)})`)];
    return [broken(id, { ...wrong, expected })];
  });
};

function wrongWith(
  volume: VolumeFact | undefined,
  mode: string,
  own: string,
): { found: string; remedy?: string } | undefined {
  if (!volume) return { found: "there is no such volume", remedy: "kubectl get persistentvolumes" };
  const { name, accessModes, claim, phase } = volume;
  if (phase === "Released" || phase === "Failed") {
    return {
      found: `${name} is ${phase}: its former claim ${claim ?? ""} is gone, and a new one does not bind it`,
      remedy: `make it free again; its data stays: kubectl patch pv ${name} --type merge -p '{"spec":{"claimRef":null}}'`,
    };
  }
  if (claim !== undefined && claim !== own) {
    return {
      found: `${name} is ${phase === "Bound" ? "bound to" : "kept for"} claim ${claim}`,
      remedy: "name another volume in the site file, or delete that claim if nobody needs it",
    };
  }
  if (!accessModes.includes(mode)) {
    return { found: `${name} has only ${accessModes.join(", ") || "no access mode"}` };
  }
  return undefined;
}

/** Claims of an earlier life are taken over as they are; Kubernetes lets nobody change or shrink them. */
export const storageClaims: Rule = ({ plan, facts: { claims } }) => {
  const id = "storage-claim";
  if (!claims.known) return [unknown(id, claims.reason)];
  const findings = plan.storage.volumes.flatMap((wanted): Finding[] => {
    const claim = claims.value.find(({ name }) => name === wanted.name);
    if (!claim) return [];
    const found = mismatch(wanted, claim);
    return found === undefined ? [] : [broken(id, { found: `claim ${claim.name} ${found}` })];
  });
  return findings.length > 0 ? findings : [met(id, `${claims.value.length} there already`)];
};

function mismatch({ backing, size }: Volume, claim: ClaimFact): string | undefined {
  if (claim.phase === "Lost") return `is Lost: its volume ${claim.volume ?? ""} is gone`;
  if (backing.kind !== "claim") return undefined;
  const { storage_class: wanted, access_mode: mode } = backing;
  if (wanted !== undefined && claim.storageClass !== wanted) {
    return `has storage class ${claim.storageClass ?? "none"}, not ${wanted}`;
  }
  if (!claim.accessModes.includes(mode)) return `is ${claim.accessModes.join(", ")}, not ${mode}`;
  if (claim.bytes > amountOf(size)) return `has ${inGiB(claim.bytes)}, more than ${size}`;
  return undefined;
}

/** Where nobody makes volumes on demand, there are enough that are free. */
export const storageSupply: Rule = ({ plan, facts: { storageClasses, volumes, claims } }) => {
  const id = "storage-supply";
  if (!storageClasses.known) return [unknown(id, storageClasses.reason)];
  const wanted = claimed(plan).filter(
    ({ backing }) => classOf(backing.storage_class, storageClasses.value)?.provisioner === byHand,
  );
  if (wanted.length === 0) return [];
  if (!volumes.known) return [unknown(id, volumes.reason)];
  if (!claims.known) return [unknown(id, claims.reason)];
  const free = volumes.value
    .filter(({ phase, claim }) => phase === "Available" && claim === undefined)
    .sort((a, b) => a.bytes - b.bytes);
  const findings = wanted
    .filter((volume) => !claims.value.some(({ name, volume: of }) => name === volume.name && of))
    .sort((a, b) => amountOf(a.size) - amountOf(b.size))
    .flatMap(({ name, size, backing }): Finding[] => {
      const of = classOf(backing.storage_class, storageClasses.value)?.name ?? "";
      const chosen = free.findIndex(
        (volume) =>
          volume.storageClass === of &&
          volume.bytes >= amountOf(size) &&
          volume.accessModes.includes(backing.access_mode),
      );
      if (chosen >= 0) {
        free.splice(chosen, 1);
        return [];
      }
      const released = volumes.value.filter(
        ({ storageClass, phase }) => storageClass === of && phase === "Released",
      );
      return [
        broken(id, {
          found: `no volume of class ${of} is free for claim ${name}${released.length > 0 ? `; ${released.length} are Released` : ""}`,
          expected: `a volume of class ${of} with ${size} and ${backing.access_mode}`,
          ...(released[0]
            ? {
                remedy: `make a released one free again, if nobody needs its data: kubectl patch pv ${released[0].name} --type merge -p '{"spec":{"claimRef":null}}'`,
              }
            : {}),
        }),
      ];
    });
  return findings.length > 0 ? findings : [met(id, `${free.length} more are free`)];
};

/** Space for checkpoints, as far as a cluster tells: what a server or a directory has left, it does not. */
export const checkpointSpace: Rule = ({ plan, facts: { volumes } }) => {
  const id = "C-34";
  const wanted = plan.storage.volumes.find(({ name }) => name === "checkpoints");
  if (!wanted) return [];
  const { backing, size } = wanted;
  const judge = (bytes: number, what: string) =>
    bytes >= leastCheckpointBytes ? met(id, what) : broken(id, { found: what });
  switch (backing.kind) {
    case "claim":
      return [judge(amountOf(size), `a claim of ${size}`)];
    case "existing": {
      if (!volumes.known) return [unknown(id, volumes.reason)];
      const volume = volumes.value.find(({ name }) => name === backing.volume);
      return volume ? [judge(volume.bytes, `a volume of ${inGiB(volume.bytes)}`)] : [];
    }
    case "nfs":
      return [unknown(id, `what ${backing.server}:${backing.path} has left, only it can say`)];
    case "host_path":
      return [unknown(id, `what the disk under ${backing.path} has left, only its node can say`)];
  }
};

const leastCheckpointBytes = 50e9;

type Claimed = Volume & { readonly backing: Extract<Volume["backing"], { kind: "claim" }> };

function claimed({ storage }: Plan): Claimed[] {
  return storage.volumes.filter((volume): volume is Claimed => volume.backing.kind === "claim");
}

function classOf(
  name: string | undefined,
  classes: readonly StorageClassFact[],
): StorageClassFact | undefined {
  return classes.find((one) => (name === undefined ? one.isDefault : one.name === name));
}

function claimName({ names }: Plan, { name }: Volume): string {
  return `${names.namespaces.train}/${name}`;
}
