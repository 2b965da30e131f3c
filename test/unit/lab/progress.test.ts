import { describe, expect, it } from "vitest";
import { formatSeconds, Progress } from "../../../lab/progress.ts";

function recorder(isTTY: boolean) {
  const texts: string[] = [];
  return { texts, write: (text: string) => texts.push(text), isTTY, columns: 20 };
}

const work = (summary: string) => () => Promise.resolve({ result: 1, summary });

describe("progress", () => {
  it("announces a long task, and reports its end", async () => {
    const output = recorder(false);
    await new Progress(output).task("building", 230, work("built"));
    expect(output.texts).toEqual(["building, about 3 min 50 s …\n", "built (0.0 s)\n"]);
  });

  it("says nothing about a short task that had nothing to do", async () => {
    const output = recorder(false);
    expect(await new Progress(output).task("looking", 3, work(""))).toBe(1);
    expect(output.texts).toEqual([]);
  });

  it("refreshes one line on a terminal, never wider than it", async () => {
    const output = recorder(true);
    await new Progress(output).task("building something", 5, work("built"));
    expect(output.texts).toEqual([
      "\r\u001b[Kbuilding something ",
      "\r\u001b[K",
      "built (0.0 s)\n",
    ]);
  });

  it("formats times", () => {
    expect([0.04, 9.9, 9.96, 42.4, 60, 230, 3601].map(formatSeconds)).toEqual([
      "0.0 s",
      "9.9 s",
      "10 s",
      "42 s",
      "1 min",
      "3 min 50 s",
      "60 min 1 s",
    ]);
  });
});
