import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readBuilder } from "../../../preflight/docker/builder.ts";
import { FakeDaemon } from "../../support/docker.ts";

describe("the daemon that builds a cluster's images", () => {
  it("is the one that the shell names", async () => {
    await using daemon = await FakeDaemon.start();
    const found = await readBuilder({ DOCKER_HOST: `unix://${daemon.socket}` });
    expect(found).toEqual({ known: true, value: { version: "28.5.2" } });
    expect(daemon.asked).toEqual(["GET /version"]);
  });

  it("is that of Docker Desktop where the machine has no other", async () => {
    await using daemon = await FakeDaemon.start();
    const home = mkdtempSync(join(tmpdir(), "swe-rl-home-"));
    mkdirSync(join(home, ".docker/run"), { recursive: true });
    symlinkSync(daemon.socket, join(home, ".docker/run/docker.sock"));
    const found = await readBuilder({}, { home, usual: join(home, "none.sock") });
    expect(found).toEqual({ known: true, value: { version: "28.5.2" } });
    rmSync(home, { recursive: true });
  });

  it("is absent where nothing answers, with the reason", async () => {
    const usual = "/nonexistent/docker.sock";
    expect(await readBuilder({}, { home: "/nonexistent", usual })).toEqual({
      known: true,
      value: { absent: `there is no socket at unix://${usual}: is the daemon running?` },
    });
  });

  it.each([
    [
      { DOCKER_HOST: "ssh://builder" },
      "DOCKER_HOST is ssh://builder, which only the plugin can reach",
    ],
    [
      { DOCKER_HOST: "tcp://builder.invalid:2376", DOCKER_CERT_PATH: "/nonexistent" },
      "ENOENT: no such file or directory, open '/nonexistent/ca.pem'",
    ],
  ])("is not known where it cannot be asked: %j", async (shell, reason) => {
    expect(await readBuilder(shell)).toEqual({ known: false, reason });
  });
});
