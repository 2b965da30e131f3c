import pulumi from "@pulumi/eslint-plugin";
import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

/** Code that may not appear anywhere in the product. */
const everywhere = [
  {
    selector:
      "CallExpression[callee.property.name='apply'] NewExpression[callee.property.name=/^[A-Z]/]",
    message: "A resource made inside apply() vanishes from preview.",
  },
  {
    selector: "MemberExpression[object.name='pulumi'][property.name='dynamic']",
    message: "No dynamic providers: their code and secrets end up in the state.",
  },
  {
    selector: "CallExpression[callee.object.name='process'][callee.property.name='exit']",
    message: "Set process.exitCode and return, so that pending output is written.",
  },
];
const configOnlyInStacks = {
  selector: "NewExpression[callee.object.name='pulumi'][callee.property.name='Config']",
  message: "Only stacks/ reads pulumi.Config; components take typed arguments.",
};

const relativeWithEnding = {
  regex: "^\\.{1,2}/.*(?<!\\.(ts|js|json))$",
  message: "Relative imports name the file with its ending: Node runs the TypeScript itself.",
};
const notFromLab = { regex: "(^|/)lab/", message: "Nothing in the product imports the lab." };
const noPulumi = {
  group: ["@pulumi/*"],
  message: "The Plan and its configuration are pure; only stacks/ and components/ know Pulumi.",
};
const noKubernetesClient = {
  group: ["@kubernetes/*"],
  message: "Only preflight/facts talks to a cluster by itself.",
};
const noSettings = {
  regex: "config/load|config/schema",
  message: "Components take slices of the Plan, never Settings.",
};

const imports = (...patterns) => ["error", { patterns: [relativeWithEnding, ...patterns] }];

export default defineConfig(
  { ignores: ["**/*.js", ".lab/", ".venv/", "lab/tools/go/"] },
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    plugins: { "@pulumi": pulumi },
    rules: {
      "@pulumi/no-output-in-template-literal": "error",
      "@pulumi/no-output-instance-in-template-literal": "error",
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "inline-type-imports" }],
      "@typescript-eslint/no-unused-vars": [
        "error",
        { varsIgnorePattern: "^_", argsIgnorePattern: "^_" },
      ],
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
      eqeqeq: "error",
      "max-params": ["error", 3],
      "no-console": "error",
      "no-new": "off",
      "no-restricted-imports": imports(notFromLab),
      "no-restricted-syntax": ["error", ...everywhere, configOnlyInStacks],
    },
  },
  {
    files: ["config/**", "plan/**", "rules/**"],
    rules: { "no-restricted-imports": imports(notFromLab, noPulumi, noKubernetesClient) },
  },
  {
    files: ["preflight/**"],
    rules: { "no-restricted-imports": imports(notFromLab, noPulumi) },
  },
  {
    files: ["components/**"],
    rules: { "no-restricted-imports": imports(notFromLab, noSettings, noKubernetesClient) },
  },
  { files: ["stacks/**"], rules: { "no-restricted-syntax": ["error", ...everywhere] } },
  { files: ["lab/**", "test/**", "bench/**"], rules: { "no-restricted-imports": imports() } },
  {
    files: ["test/**"],
    rules: {
      "@typescript-eslint/no-non-null-assertion": "off",
      "no-restricted-syntax": ["error", ...everywhere],
    },
  },
);
