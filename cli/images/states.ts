/** What became of an image on one node. `unknown`: the node does not say, for example because it is simulated. */
export type ImageState = "there" | "missing" | "waiting" | "unknown";

export interface ImageOnNode {
  readonly image: string;
  readonly node: string;
  readonly state: ImageState;
  /** Kubernetes' own words. */
  readonly reason: string;
}

/** What is read of a pod. */
export interface PulledPod {
  readonly spec?: {
    readonly nodeName?: string;
    readonly volumes?: readonly { readonly name: string; readonly image?: Volume }[];
  };
  readonly status?: { readonly containerStatuses?: readonly ContainerStatus[] };
}

interface Volume {
  readonly reference?: string;
}

export interface ContainerState {
  readonly running?: object;
  readonly waiting?: { readonly reason?: string; readonly message?: string };
}

interface ContainerStatus {
  readonly name: string;
  readonly imageID: string;
  readonly state?: ContainerState;
}

/** Reasons by which the kubelet says that it has not got the image. */
const pullFailures = new Set([
  "ErrImagePull",
  "ImagePullBackOff",
  "ErrImageNeverPull",
  "InvalidImageName",
  "RegistryUnavailable",
  "SignatureValidationFailed",
]);

/** Of a container that waits for its turn. */
const notYet = new Set(["ContainerCreating", "PodInitializing"]);

/** Reads the pods of the pre-pull, which have a container for each image. */
export function imageStates(pods: readonly PulledPod[]): ImageOnNode[] {
  return pods.flatMap(({ spec, status }) => {
    const references = new Map(
      (spec?.volumes ?? []).flatMap(({ name, image }) =>
        image?.reference === undefined ? [] : [[name, image.reference] as const],
      ),
    );
    return [...references].map(([container, image]): ImageOnNode => {
      const found = status?.containerStatuses?.find(({ name }) => name === container);
      return { image, node: spec?.nodeName ?? "(no node)", ...judge(found) };
    });
  });
}

function judge(status: ContainerStatus | undefined): Pick<ImageOnNode, "state" | "reason"> {
  if (status === undefined) return { state: "waiting", reason: "not begun" };
  const running = status.state?.running;
  const waiting = status.state?.waiting;
  if (running) {
    // A real node says which image it runs; a simulated one runs none and pulls none.
    return status.imageID === ""
      ? { state: "unknown", reason: "the node is simulated: it pulls nothing" }
      : { state: "there", reason: "" };
  }
  const reason = waiting?.reason ?? "not begun";
  const words = [reason, waiting?.message].filter(Boolean).join(": ");
  if (pullFailures.has(reason)) return { state: "missing", reason: words };
  if (waiting === undefined || notYet.has(reason)) return { state: "waiting", reason: words };
  return { state: "unknown", reason: words };
}
