/** Whether the claims of a stack will find their volumes. */
import { runDirectory } from "../../plan/names.ts";
import type { Plan } from "../../plan/plan.ts";
import { placeOf, type Volume } from "../../plan/storage/index.ts";
import type { ClaimFact, StorageClassFact, VolumeFact } from "../../preflight/facts/storage.ts";
import { amountOf, inGiB } from "../../preflight/facts/quantity.ts";
import { defineClusterRule, met, notRead, type Verdict } from "../rule.ts";

/** Provisioner of classes whose volumes are made by hand. */
const byHand = "kubernetes.io/no-provisioner";

export const storageClasses = defineClusterRule({
  id: "storage-class",
  title: "the storage classes that the site names",
  severity: "fatal",
  consequence: "claims would wait for a volume for ever",
  remedy: "name an existing class in the site file under storage, or create it",
  source: "https://kubernetes.io/docs/concepts/storage/persistent-volumes/",
  check: ({ plan, facts: { storageClasses: classes } }) => {
    const wanted = new Set(claimed(plan).map(({ backing }) => backing.storage_class));
    return [...wanted].map((name): Verdict => {
      const expected = name === undefined ? "a default storage class" : `storage class ${name}`;
      if (!classes.known) return notRead(classes.reason, expected);
      const found = classOf(name, classes.value);
      if (found) return met(`${found.name} (${found.provisioner})`);
      const there = classes.value.map((one) => one.name).join(", ") || "none";
      if (name !== undefined) return { found: `only ${there}`, expected };
      return {
        found: `no default among ${there}`,
        expected,
        remedy:
          "name a class in the site file under storage, or mark one: kubectl annotate storageclass NAME storageclass.kubernetes.io/is-default-class=true",
      };
    });
  },
});

/** Checkpoints are kept on destroy, but a class may delete the data of a deleted claim. */
export const storageReclaim = defineClusterRule({
  id: "storage-reclaim",
  title: "checkpoints on a storage class that keeps what a deleted claim held",
  severity: "warn",
  consequence: "deleting the retained claim or its namespace deletes the checkpoints as well",
  remedy:
    "name a class with reclaimPolicy Retain in the site file under storage: kubectl get storageclasses",
  source: "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#reclaiming",
  check: ({ plan, facts: { storageClasses: classes } }) => {
    const kept = claimed(plan).filter(({ removal, readOnly }) => removal === "retain" && !readOnly);
    const names = [...new Set(kept.map(({ backing }) => backing.storage_class))];
    return names.flatMap((name): Verdict[] => {
      if (!classes.known) return [notRead(classes.reason)];
      const found = classOf(name, classes.value);
      // storage-class says that it is missing.
      if (!found) return [];
      const policy = `${found.name} has reclaim policy ${found.reclaimPolicy}`;
      return [found.reclaimPolicy === "Retain" ? met(policy) : { found: policy }];
    });
  },
});

/** Volumes that the site names exist, are free for us, and are large enough. */
export const storageVolumes = defineClusterRule({
  id: "storage-volume",
  standsOn: ["names"],
  title: "existing volumes that are free, with the access mode that the site says",
  severity: "fatal",
  consequence: "the claim would wait for the volume for ever",
  remedy: "correct the volume in the site file: kubectl get persistentvolumes",
  source: "https://github.com/kubernetes/kubernetes/issues/135387",
  check: ({ plan, facts: { volumes } }) => {
    return plan.storage.volumes.flatMap((wanted): Verdict[] => {
      const { backing } = wanted;
      if (backing.kind !== "existing") return [];
      const expected = `volume ${backing.volume}, ${backing.access_mode}, free for claim ${wanted.name}`;
      if (!volumes.known) return [notRead(volumes.reason, expected)];
      const volume = volumes.value.find(({ name }) => name === backing.volume);
      const wrong = wrongWith(volume, backing.access_mode, claimName(plan, wanted));
      if (!wrong) return [met(`${backing.volume} (${inGiB(volume?.bytes ?? 0)})`)];
      return [{ ...wrong, expected }];
    });
  },
});

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
      remedy: "name another volume in the site file, or delete that claim if it is not needed",
    };
  }
  if (!accessModes.includes(mode)) {
    return { found: `${name} has only ${accessModes.join(", ") || "no access mode"}` };
  }
  return undefined;
}

/** Claims retained by an earlier destroy are adopted as they are; Kubernetes neither changes nor shrinks them. */
export const storageClaims = defineClusterRule({
  id: "storage-claim",
  standsOn: ["names"],
  title: "kept claims that are as the stack wants them",
  severity: "fatal",
  consequence:
    "the API server would refuse the change, since a claim keeps its class and never shrinks",
  remedy: "set class, access mode and size in the files to those of the claim: kubectl get pvc -A",
  source: "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#persistentvolumeclaims",
  check: ({ plan, facts: { claims } }) => {
    if (!claims.known) return [notRead(claims.reason)];
    const findings = plan.storage.volumes.flatMap((wanted): Verdict[] => {
      const claim = claims.value.find(({ name }) => name === wanted.name);
      if (!claim) return [];
      const found = mismatch(wanted, claim);
      return found === undefined ? [] : [{ found: `claim ${claim.name} ${found}` }];
    });
    return findings.length > 0 ? findings : [met(`${claims.value.length} there already`)];
  },
});

/** Kubernetes keeps a deleted claim while a pod mounts it, and nothing says that it is about to go. */
export const storageGoing = defineClusterRule({
  id: "storage-going",
  standsOn: ["names"],
  title: "no claim of the stack that somebody has deleted",
  severity: "warn",
  consequence:
    "it goes with the last pod that mounts it, by the next destroy or update at the latest, and what it holds with it where its volume is not retained",
  remedy:
    'keep the volume: kubectl patch pv VOLUME -p \'{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}\'; then let the claim go, and name the volume as `existing` in the site file',
  source:
    "https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection",
  check: ({ plan, facts: { claims } }) => {
    if (!claims.known) return [notRead(claims.reason)];
    const mounted = new Set(plan.storage.volumes.map(({ name }) => name));
    return claims.value
      .filter(({ name, terminating }) => terminating && mounted.has(name))
      .map(({ name, volume }) => ({
        found: `claim ${name} (volume ${volume ?? "none"}) is being deleted`,
      }));
  },
});

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

/** Without dynamic provisioning, enough volumes are free. */
export const storageSupply = defineClusterRule({
  id: "storage-supply",
  standsOn: ["names"],
  title: "a free volume for every claim of a class without a provisioner",
  severity: "fatal",
  consequence: "the claim would wait for a volume for ever",
  remedy: "make one, or name a class that makes them on demand: kubectl get persistentvolumes",
  source: "https://github.com/kubernetes/kubernetes/issues/135387",
  check: ({ plan, facts: { storageClasses, volumes, claims } }) => {
    if (!storageClasses.known) return [notRead(storageClasses.reason)];
    const wanted = claimed(plan).filter(
      ({ backing }) => classOf(backing.storage_class, storageClasses.value)?.provisioner === byHand,
    );
    if (wanted.length === 0) return [];
    if (!volumes.known) return [notRead(volumes.reason)];
    if (!claims.known) return [notRead(claims.reason)];
    const free = volumes.value
      .filter(({ phase, claim }) => phase === "Available" && claim === undefined)
      .sort((a, b) => a.bytes - b.bytes);
    const findings = wanted
      .filter((volume) => !claims.value.some(({ name, volume: of }) => name === volume.name && of))
      .sort((a, b) => amountOf(a.size) - amountOf(b.size))
      .flatMap(({ name, size, backing }): Verdict[] => {
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
          {
            found: `no volume of class ${of} is free for claim ${name}${released.length > 0 ? `; ${released.length} are Released` : ""}`,
            expected: `a volume of class ${of} with ${size} and ${backing.access_mode}`,
            ...(released[0]
              ? {
                  remedy: `make a released one free again, if its data is not needed: kubectl patch pv ${released[0].name} --type merge -p '{"spec":{"claimRef":null}}'`,
                }
              : {}),
          },
        ];
      });
    return findings.length > 0 ? findings : [met(`${free.length} more are free`)];
  },
});

/** Volumes of the cluster that are bound, or will be; what a server lets its user write shows only in a pod. */
export const writable = defineClusterRule({
  id: "C-35",
  standsOn: ["names"],
  title: "volumes that the run writes are not read-only",
  severity: "fatal",
  consequence: "the first checkpoint, log or record cannot be written, and the run ends",
  remedy:
    "name another volume in the site file, or have it made writable: kubectl get pv NAME -o yaml",
  source: "docs/decisions.md#c-35",
  check: ({ plan, facts: { volumes, claims } }) => {
    const written = plan.storage.volumes.filter(({ readOnly }) => !readOnly);
    if (!volumes.known) return [notRead(volumes.reason)];
    if (!claims.known) return [notRead(claims.reason)];
    const findings = written.flatMap(({ name, backing }): Verdict[] => {
      const bound = claims.value.find((claim) => claim.name === name)?.volume;
      const volume = backing.kind === "existing" ? backing.volume : bound;
      const why = volumes.value.find((one) => one.name === volume)?.readOnly;
      return why === undefined ? [] : [{ found: `${name} is on volume ${volume ?? ""}: ${why}` }];
    });
    return findings.length > 0 ? findings : [met("none of them is, as far as the cluster tells")];
  },
});

/** Stacks with volumes of one place: `extends` hands experiment.exp_name on, too. */
export const ownDirectory = defineClusterRule({
  id: "run-directory",
  standsOn: ["names"],
  title: "no other stack writes to the run's directories",
  severity: "fatal",
  consequence: "both runs save over each other's checkpoints, and resume from them",
  remedy:
    "give one of them another experiment.exp_name, or waive this rule where the other run has ended and this one is to go on from it",
  source: "docs/decisions.md#c-05",
  check: ({ plan, facts: { volumes } }) => {
    const { names, storage } = plan;
    const own = storage.volumes.flatMap(({ name, backing, readOnly }) => {
      const place = placeOf(backing);
      return readOnly || place === undefined ? [] : [{ name, place }];
    });
    if (own.length === 0) return [];
    if (!volumes.known) return [notRead(volumes.reason)];
    const directory = runDirectory(names);
    const findings = own.flatMap(({ name, place }) =>
      volumes.value
        .filter((other) => other.stack !== undefined && other.stack !== names.stack)
        .filter((other) => other.place === place && other.runDirectory === directory)
        .map(({ stack }) => ({
          found: `stack ${stack ?? ""} has ${directory} on ${place}, too, for its ${name}`,
        })),
    );
    return findings.length > 0 ? findings : [met(directory)];
  },
});

/** Space for checkpoints, as far as a cluster tells: what a server or a directory has left, it does not. */
export const checkpointSpace = defineClusterRule({
  id: "C-34",
  title: "at least 50 GB for checkpoints",
  severity: "warn",
  consequence: "a checkpoint cannot be written, and the run ends",
  remedy: "raise storage.checkpoints.size",
  source: "docs/decisions.md#c-34",
  check: ({ plan, facts: { volumes } }) => {
    const wanted = plan.storage.volumes.find(({ name }) => name === "checkpoints");
    if (!wanted) return [];
    const { backing, size } = wanted;
    const judge = (bytes: number, what: string) =>
      bytes >= leastCheckpointBytes ? met(what) : { found: what };
    switch (backing.kind) {
      case "claim":
        return [judge(amountOf(size), `a claim of ${size}`)];
      case "existing": {
        if (!volumes.known) return [notRead(volumes.reason)];
        const volume = volumes.value.find(({ name }) => name === backing.volume);
        return volume ? [judge(volume.bytes, `a volume of ${inGiB(volume.bytes)}`)] : [];
      }
      case "nfs":
        return [notRead(`what ${backing.server}:${backing.path} has left, only it can say`)];
      case "host_path":
        return [notRead(`what the disk under ${backing.path} has left, only its node can say`)];
    }
  },
});

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
