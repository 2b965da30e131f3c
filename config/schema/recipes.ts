/** The images that this project has recipes for. */

export const imageNames = ["training", "claude-code", "opencode", "openhands-sdk"] as const;
export type ImageName = (typeof imageNames)[number];

/** Of the training image. */
export const variants = ["cuda", "cpu"] as const;
export type Variant = (typeof variants)[number];

/** Agents' programs and PyTorch's wheels with CUDA are for this one. */
export const imagePlatform = "linux/amd64";

/** What a build needs from the project. */
export interface Recipe {
  /** Containerfile, from the project's root. */
  readonly file: string;
  /** Directory that the Containerfile copies from, from the project's root. */
  readonly context: string;
  /** Files and folders of it that go to the builder: never what lies beside them. */
  readonly sources: readonly string[];
}

const ofAgent = (name: string, sources: readonly string[]): Recipe => ({
  file: `images/agents/${name}/Containerfile`,
  context: `images/agents/${name}`,
  sources,
});

const npmFiles = ["package.json", "package-lock.json"];

export const recipes: Readonly<Record<ImageName, Recipe>> = {
  training: {
    file: "images/training/Containerfile",
    context: ".",
    sources: ["images/training", "training/pyproject.toml", "training/src"],
  },
  "claude-code": ofAgent("claude-code", npmFiles),
  opencode: ofAgent("opencode", npmFiles),
  "openhands-sdk": ofAgent("openhands-sdk", ["build.txt", "requirements.txt", "relocate.py"]),
};

export function isImageName(name: string): name is ImageName {
  return imageNames.some((one) => one === name);
}
