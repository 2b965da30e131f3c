/** Waits until the parts of a control plane answer. */
import { get as getPlain } from "node:http";
import { get as getSecure } from "node:https";
import { lastLines } from "../files.ts";
import { pause } from "../interrupt.ts";
import type { LabPaths } from "../paths.ts";
import { LabError } from "../problem.ts";
import type { Ports } from "../record.ts";
import type { Api } from "./api.ts";
import { findRunning, kwokParts, logOf, type Part } from "./parts.ts";

/** A part ended unexpectedly. */
export class PartEnded extends LabError {
  override readonly name = "PartEnded";

  constructor(paths: LabPaths, part: Part) {
    const log = logOf(paths, part);
    super(
      `${part} ended right after its start. The end of its log, ${log}:\n${lastLines(log, 12)}`,
    );
  }
}

const patienceSeconds = 120;

/** Waits until API server, controllers, scheduler and KWOK all answer. */
export async function waitForControlPlane(paths: LabPaths, api: Api, ports: Ports): Promise<void> {
  const questions: Partial<Record<Part, () => Promise<boolean>>> = {
    "kube-apiserver": () => api.isReady(),
    "kube-controller-manager": () =>
      answers(`https://127.0.0.1:${ports.controllerManager}/healthz`),
    "kube-scheduler": () => answers(`https://127.0.0.1:${ports.scheduler}/healthz`),
    "kwok-controller": () => answers(`http://127.0.0.1:${ports.kwok}/healthz`),
  };
  for (const part of kwokParts) {
    const question = questions[part];
    if (question) await waitFor(paths, part, question);
  }
}

/** @throws {LabError} If the part ends, or does not answer in time. */
export async function waitFor(
  paths: LabPaths,
  part: Part,
  question: () => Promise<boolean>,
): Promise<void> {
  const deadline = Date.now() + patienceSeconds * 1000;
  while (!(await question())) {
    if (!(await findRunning(paths)).parts.has(part)) throw new PartEnded(paths, part);
    if (Date.now() > deadline) {
      throw new LabError(
        `${part} runs but does not answer after ${patienceSeconds} s. The end of its log, ${logOf(paths, part)}:\n${lastLines(logOf(paths, part), 12)}`,
      );
    }
    await pause(100);
  }
}

/** Whether an address on this machine answers 200. Certificates are not checked: the parts sign their own. */
export async function answers(url: string): Promise<boolean> {
  const options = { timeout: 2000, rejectUnauthorized: false };
  const get = url.startsWith("https:") ? getSecure : getPlain;
  return await new Promise((resolve) => {
    const outgoing = get(url, options, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    outgoing.on("timeout", () => outgoing.destroy());
    outgoing.on("error", () => {
      resolve(false);
    });
  });
}
