/** Which folder may import which: stacks → components, preflight → rules → plan → config. */

/** @param {string} name @param {string} comment @param {string} from @param {object} to */
const never = (name, comment, from, to) => ({
  name,
  comment,
  severity: "error",
  from: { path: from },
  to,
});

const above = {
  config: ["plan", "rules", "preflight", "components", "stacks", "cli"],
  plan: ["rules", "preflight", "components", "stacks", "cli"],
  rules: ["components", "stacks", "cli"],
  preflight: ["components", "stacks", "cli"],
  components: ["rules", "preflight", "stacks", "cli"],
  stacks: ["cli"],
};

export default {
  forbidden: [
    never("no-circular", "Files that import each other cannot be read or moved alone.", "", {
      circular: true,
    }),
    never(
      "nothing-imports-the-lab",
      "The product knows nothing of its lab, benches and tests.",
      "^(config|plan|rules|preflight|components|stacks|cli)/",
      { path: "^(lab|bench|test)/" },
    ),
    ...Object.entries(above).map(([folder, others]) =>
      never(`${folder}-imports-down`, "Imports point one way.", `^${folder}/`, {
        path: `^(${others.join("|")})/`,
      }),
    ),
    never(
      "rules-know-only-facts",
      "Rules look at the values that preflight read, never at how they are read or reported.",
      "^rules/",
      { path: "^preflight/", pathNot: "^preflight/(facts|docker)/" },
    ),
    never("facts-know-no-rules", "Reading comes before judging.", "^preflight/facts/", {
      path: "^rules/",
    }),
    never(
      "one-entry-a-folder",
      "A folder of the Plan shows what others may use in its index.ts.",
      "^(?!plan/([^/]+)/)",
      { path: "^plan/[^/]+/", pathNot: "^plan/[^/]+/index\\.ts$" },
    ),
    never(
      "one-entry-a-sibling",
      "A folder of the Plan shows what its siblings may use in its index.ts.",
      "^plan/([^/]+)/",
      { path: "^plan/[^/]+/", pathNot: ["^plan/$1/", "^plan/[^/]+/index\\.ts$"] },
    ),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^node_modules" },
  },
};
