import { describe, expect, it } from "vitest";
import { executableOf, parts, sortOut } from "../../../lab/control-plane/parts.ts";
import { labPaths } from "../../../lab/paths.ts";
import { parseProc, parsePs, processesIn, runsIn } from "../../../lab/processes.ts";

const paths = labPaths("/tmp", "test");
const since = new Date("2026-11-21T01:53:09");

describe("processes of a lab", () => {
  it("are those whose executable lies inside its directory", () => {
    const inside = [
      `${paths.directory}/bin/kuberay-operator --kubeconfig x`,
      `${paths.cluster}/bin/etcd`,
    ];
    const outside = [
      `tail -f ${paths.logs}/etcd.log`,
      `vim ${paths.kubeconfig}`,
      `${paths.directory}-2/bin/etcd`,
      paths.directory,
      "/tmp/.lab/other/bin/etcd",
      "",
    ];
    expect(inside.map((command) => runsIn(paths.directory, command))).toEqual([true, true]);
    expect(outside.filter((command) => runsIn(paths.directory, command))).toEqual([]);
  });

  it("are sorted into parts, leftovers and clients", () => {
    const commands = [
      ...parts.map((part) => `${executableOf(paths, part)} --flag`),
      `${executableOf(paths, "etcd")} --second`,
      `${executableOf(paths, "kube-scheduler")} --version`,
      `${paths.bin}/kwokctl create cluster`,
      `${paths.bin}/pulumi up`,
      `${paths.bin}/pulumi-resource-kubernetes 127.0.0.1:1`,
    ];
    const all = commands.map((command, i) => ({ pid: i + 1, since, command }));
    const { parts: found, leftovers, clients } = sortOut(paths, all);
    expect([...found.keys()]).toEqual([...parts]);
    expect(found.get("etcd")?.pid).toBe(1);
    expect(leftovers.map(({ pid }) => pid)).toEqual([parts.length + 1, parts.length + 3]);
    expect(clients.map(({ pid }) => pid)).toEqual([parts.length + 4, parts.length + 5]);
  });

  it("are read from ps as Linux and macOS print it", () => {
    const text = [
      "    1 Sat Nov 21 01:27:28 2026 /sbin/init",
      " 1517 Sat Nov 21 01:53:09 2026 /x y/.lab/test/bin/etcd --name=node0 --data-dir=/x y",
      "  502 Sun Nov  1 09:05:00 2026     /usr/sbin/cfprefsd agent",
      "77777 Sat Nov 21 01:53:09 2026 (etcd)",
      "",
    ].join("\n");
    expect(parsePs(text)).toEqual([
      { pid: 1, since: new Date("2026-11-21T01:27:28"), command: "/sbin/init" },
      { pid: 1517, since, command: "/x y/.lab/test/bin/etcd --name=node0 --data-dir=/x y" },
      { pid: 502, since: new Date("2026-11-01T09:05:00"), command: "/usr/sbin/cfprefsd agent" },
      { pid: 77777, since, command: "(etcd)" },
    ]);
  });

  it("are read from /proc, also with an odd name", () => {
    const fields = Array.from({ length: 49 }, (_, i) => String(i + 4));
    fields[18] = "12345";
    const stat = `42 (a b) c) S ${fields.join(" ")}`;
    const words = ["/x y/bin/etcd", "--a", "b c", ""];
    expect(parseProc(42, { words, stat, boot: 1000 })).toEqual({
      pid: 42,
      since: new Date((1000 + 123.45) * 1000),
      command: "/x y/bin/etcd --a b c",
    });
    expect(parseProc(43, { words: [""], stat, boot: 1000 }).command).toBe("");
  });

  it("are not found in an unused directory", async () => {
    expect(await processesIn("/nonexistent")).toEqual([]);
  });
});
