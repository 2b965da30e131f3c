/** An error for the user, shown without a stack trace. */
export class LabError extends Error {
  override readonly name: string = "LabError";
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The command line is invalid. */
export class UsageError extends LabError {
  override readonly name = "UsageError";

  constructor(message: string) {
    super(message, 2);
  }
}

/** A signal stopped the command. */
export class Interrupted extends LabError {
  override readonly name = "Interrupted";

  constructor(signal: NodeJS.Signals) {
    super(`interrupted by ${signal}`, exitCodes[signal] ?? 1);
  }
}

/** 128 + signal number, as in a shell. */
const exitCodes: Partial<Record<NodeJS.Signals, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
};
