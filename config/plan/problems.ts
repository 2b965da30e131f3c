import type { Problem, SettingPath } from "../problem.ts";

/** Collects what a Plan's parts find wrong, so that all of it is reported at once. */
export class Problems {
  readonly errors: Problem[] = [];
  readonly warnings: Problem[] = [];

  /** The settings contradict each other; `message` says what was found, what it would lead to, what to do. */
  error(path: SettingPath, message: string): void {
    this.errors.push({ path, message });
  }

  /** The run can start, but probably not as meant. */
  warn(path: SettingPath, message: string): void {
    this.warnings.push({ path, message });
  }

  /** Reports `path` unless `divisor` divides `value`. */
  divides(path: SettingPath, [divisor, value]: readonly [number, number], message: string): void {
    if (value % divisor !== 0) this.error(path, message);
  }
}
