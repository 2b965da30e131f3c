/** `images.build` of a site: images that the stack makes itself. */
import { z } from "zod";
import { imageNames, variants } from "./recipes.ts";
import { looksSecret } from "./secret-name.ts";

/** ARGs that the stack sets itself. */
const own = ["VARIANT", "VERSION", "REVISION", "SOURCE_DATE_EPOCH"];

const readable = "build arguments can be read by everybody who has the image";

const buildArgs = z
  .record(
    z.string().regex(/^[A-Za-z_]\w*$/, { error: "must be the name of an ARG" }),
    z.string().regex(/^(?!\w+:\/\/[^/]*@)/, {
      error: `must have no user and password in an address: ${readable}`,
    }),
  )
  .superRefine((args, context) => {
    for (const name of Object.keys(args)) {
      const message = refusal(name);
      if (message !== undefined) context.addIssue({ code: "custom", path: [name], message });
    }
  });

function refusal(name: string): string | undefined {
  if (name === "VARIANT") return "must be left out: images.build.variant says it";
  if (own.includes(name)) return "must be left out: the stack sets it";
  return looksSecret(name) ? `must be no secret: ${readable}` : undefined;
}

const repository = () =>
  z
    .string()
    .regex(
      /^(localhost|[a-z0-9-]+(\.[a-z0-9-]+)*(?=:)|[a-z0-9-]+(\.[a-z0-9-]+)+)(:\d{1,5})?(\/[a-z0-9]+([._-]+[a-z0-9]+)*)+$/,
      {
        error:
          "must be a registry's host and a path, without a tag, for example registry.example.com/team/swe-rl",
      },
    );

const others = {
  variant: z
    .enum(variants)
    .default("cuda")
    .describe("Of the training image: `cuda` for GPUs, `cpu` without vLLM, for rehearsals."),
  args: z
    .partialRecord(z.enum(imageNames), buildArgs)
    .default({})
    .describe(
      'Build arguments by image, as `npm run image -- build NAME -- --build-arg` takes them: `training: { RUN_AS: swe-rl, MAX_JOBS: "8" }`, or BASE, another image to build on.',
    ),
};

const purpose =
  "The stack builds the training image, and the runtime image of a scaffold that has a recipe here, before anything uses them: docs/training-image.md.";

/** Of a cluster, whose nodes pull what was pushed. */
export const pushedBuild = () =>
  z
    .strictObject({
      repository: repository().describe(
        "Where the images are pushed to: they become REPOSITORY/training and REPOSITORY/SCAFFOLD. The Docker client's login, or the stack secret pushCredentials, must be good for it.",
      ),
      ...others,
    })
    .optional()
    .describe(`${purpose} In place of \`training\`.`);

/** Of a Docker host, which builds by itself what it runs. */
export const hostBuild = () =>
  z
    .strictObject({
      repository: repository()
        .optional()
        .describe(
          "Where the images are pushed to as well. Omitted: they stay on the host, as localhost/swe-rl/training and localhost/swe-rl/SCAFFOLD.",
        ),
      ...others,
    })
    .optional()
    .describe(`${purpose} In place of \`training\`.`);

export type ImageBuildSettings = NonNullable<z.output<ReturnType<typeof hostBuild>>>;

interface Images {
  readonly training?: string | undefined;
  readonly build?: object | undefined;
}

/** A training image comes from one place. */
export function checkTraining({ training, build }: Images, context: z.RefinementCtx): void {
  if ((training === undefined) !== (build === undefined)) return;
  const message =
    build === undefined
      ? "must name your image, unless images.build has the stack make one"
      : "must be left out beside images.build, or the other way round: `training` is run as it is, `build` makes the image that is run";
  context.addIssue({ code: "custom", path: ["training"], message });
}
