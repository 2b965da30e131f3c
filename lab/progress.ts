/** Shows progress: one refreshing line on a terminal, a few lines elsewhere. */

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

const refreshMilliseconds = 1000;
const reminderMilliseconds = 30_000;

/** Seconds. Longer tasks are announced at their start; shorter ones are reported at their end. */
const long = 15;

export class Progress {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  line(text: string): void {
    this.#output.write(`${text}\n`);
  }

  /**
   * Shows a task while it runs, then its summary unless that is empty.
   * @param estimate Expected seconds; undefined if unknown.
   */
  async task<T>(
    label: string,
    estimate: number | undefined,
    work: () => Promise<{ readonly result: T; readonly summary: string }>,
  ): Promise<T> {
    const start = performance.now();
    const elapsed = () => (performance.now() - start) / 1000;
    const state = () => {
      const about = estimate === undefined ? "" : ` of about ${formatSeconds(estimate)}`;
      return `${label} … ${formatSeconds(elapsed())}${about}`;
    };
    const isTerminal = this.#output.isTTY === true;
    if (!isTerminal && (estimate ?? long) >= long) {
      const about = estimate === undefined ? "" : `, about ${formatSeconds(estimate)}`;
      this.line(`${label}${about} …`);
    }
    const timer = setInterval(
      () => {
        if (isTerminal) this.#overwrite(state());
        else this.line(state());
      },
      isTerminal ? refreshMilliseconds : reminderMilliseconds,
    );
    if (isTerminal) this.#overwrite(state());
    try {
      const { result, summary } = await work();
      this.#clear();
      if (summary !== "") this.line(`${summary} (${formatSeconds(elapsed())})`);
      return result;
    } catch (error) {
      this.#clear();
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  #overwrite(text: string): void {
    const width = (this.#output.columns ?? 80) - 1;
    this.#output.write(`\r\u001b[K${text.slice(0, width)}`);
  }

  #clear(): void {
    if (this.#output.isTTY === true) this.#output.write("\r\u001b[K");
  }
}

/** `0.8 s`, `42 s`, `3 min 50 s`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const rest = whole % 60;
  return `${Math.floor(whole / 60)} min${rest ? ` ${rest} s` : ""}`;
}

/** `1 node`, `3 nodes`. */
export function formatCount(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
