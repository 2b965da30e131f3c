import type { Settings } from "../../config/load/load.ts";
import type { Problems } from "../problems.ts";
import type { Topology } from "./topology.ts";

/** Meshes of several sizes at once, each of which divides the GPUs by itself. */
export function checkMesh({ experiment }: Settings, topology: Topology, problems: Problems): void {
  const { training, verl } = experiment;
  const { trainerGpus: gpus } = topology;
  const groups = gpus / training.sp_size;
  if (
    verl.engine === "veomni" &&
    Number.isInteger(groups) &&
    training.fsdp_size !== -1 &&
    training.fsdp_size < groups &&
    groups % training.fsdp_size !== 0
  ) {
    problems.error(
      "C-12",
      ["training", "fsdp_size"],
      `is ${training.fsdp_size}, which does not divide the ${gpus} trainer GPUs / sp_size ${training.sp_size} = ${groups} that VeOmni shards over: it refuses to start. Choose a divisor of ${groups}, or -1 for all.`,
    );
  }
  const expertMesh = training.tp_size * training.ep_size * training.pp_size;
  if (verl.engine === "megatron" && training.ep_size > 1 && gpus % training.ep_size === 0) {
    problems.divides(
      "C-12",
      { path: ["training", "ep_size"], divisor: expertMesh, value: gpus },
      `gives tp_size ${training.tp_size} × ep_size ${training.ep_size} × pp_size ${training.pp_size} = ${expertMesh}, which does not divide the ${gpus} trainer GPUs: the mesh of the experts cannot be built.`,
    );
  }
}

/** What VeOmni needs of the training image, and of verl. */
export function checkVeomni({ experiment, site, modelFacts }: Settings, problems: Problems): void {
  const { verl, trainer } = experiment;
  if (verl.engine !== "veomni") return;
  const path = ["verl", "engine"];
  problems.unknown(
    "C-50",
    path,
    `is veomni, and it is unknown whether the training image ${trainer.image ?? site.images.training} has that module: without it the run ends with an ImportError at start. Try it in the image: python3 -c "import veomni".`,
  );
  if (modelFacts === undefined) {
    problems.unknown(
      "C-16",
      path,
      "is veomni, and config/models.yaml does not know whether the model has experts, for which VeOmni needs the fork's new verl. Add the model there.",
    );
  } else if (modelFacts.mixture_of_experts && verl.distribution === "stock") {
    problems.warn(
      "C-16",
      ["verl", "distribution"],
      "is stock, with which nobody has validated VeOmni for mixture-of-experts models. Use fork, or the engine fsdp.",
    );
  }
}
