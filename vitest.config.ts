import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    // By default one core is left idle, of two.
    maxWorkers: "100%",
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts"],
          // A tier is recorded in a second; a machine that does other things beside may take ten times that.
          testTimeout: 30_000,
          hookTimeout: 30_000,
          isolate: false,
          // The plugin's SDK puts it into what is recorded.
          env: { KUBECONFIG: "" },
        },
      },
      {
        test: {
          name: "engine",
          include: ["test/engine/**/*.test.ts"],
          globalSetup: "test/engine/support/lab.ts",
          // Every test drives the same control plane and the machine may have two cores.
          fileParallelism: false,
          testTimeout: 480_000,
          hookTimeout: 300_000,
        },
      },
      {
        test: {
          name: "node",
          include: ["test/node/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 240_000,
          // Its tools may have to be built.
          hookTimeout: 3_600_000,
        },
      },
    ],
  },
});
