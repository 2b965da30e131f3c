import { describe, expect, it } from "vitest";
import { readCommandLine } from "../../../lab/cli.ts";
import { commandNames, helpFor } from "../../../lab/commands/help.ts";
import { labPaths } from "../../../lab/paths.ts";
import { UsageError } from "../../../lab/problem.ts";

describe("command line of the lab", () => {
  it.each([
    [[], { command: undefined, help: true }],
    [["--help"], { command: undefined, help: true }],
    [["help", "up"], { command: "up", help: true }],
    [["up"], { command: "up", help: false, gpuNodes: undefined }],
    [["up", "--gpu-nodes", "12"], { command: "up", gpuNodes: 12 }],
    [["up", "-h"], { command: "up", help: true }],
    [["env", "--json"], { command: "env", json: true }],
    [["start"], { command: "start", stack: "single-node" }],
    [["start", "smoke"], { command: "start", stack: "smoke" }],
  ])("reads %j", (args, invocation) => {
    expect(readCommandLine(args)).toMatchObject(invocation);
  });

  it.each([
    [["frob"], /"frob" is not a command/],
    [["up", "--frob"], /Unknown option '--frob'/],
    [["up", "--json"], /Unknown option '--json'/],
    [["down", "now"], /Unexpected argument 'now'/],
    [["start", "a", "b"], /More than one stack/],
    [["start", "../a"], /"\.\.\/a" is not the name of a stack/],
    [["up", "--gpu-nodes", "0"], /--gpu-nodes 0/],
    [["up", "--gpu-nodes", "three"], /--gpu-nodes three/],
    [["up", "--gpu-nodes", "1e2"], /--gpu-nodes 1e2/],
  ])("refuses %j with exit code 2", (args, message) => {
    expect(() => readCommandLine(args)).toThrow(message);
    expect(() => readCommandLine(args)).toThrow(expect.objectContaining({ exitCode: 2 }));
  });

  it("explains every command", () => {
    for (const name of commandNames) {
      expect(helpFor(readCommandLine([name, "--help"]).command)).toContain(name);
    }
  });

  it.each(["", "..", "a/b", "Test", "-x", "x".repeat(32)])("has no lab named %j", (name) => {
    expect(() => labPaths("/tmp", name)).toThrow(UsageError);
  });
});
