/** Something that the user must know and can act on: shown as it is, without a stack trace. */
export class LabError extends Error {
  override readonly name: string = "LabError";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line makes no sense. */
export class UsageError extends LabError {
  override readonly name = "UsageError";

  constructor(message: string) {
    super(message, 2);
  }
}

/** The user, or the system, told the command to stop. */
export class Interrupted extends LabError {
  override readonly name = "Interrupted";

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`, exitCodes[signal] ?? 1);
  }
}

/** As a shell reports a command that a signal ended. */
const exitCodes: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
};
