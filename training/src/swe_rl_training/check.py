"""Checks the image and the inputs of a run, and then starts it.

    python3 -m swe_rl_training.check [OPTION...] -- python3 -m verl.trainer.main_ppo OVERRIDE...

The first step of the trainer's job: what is wrong ends it in seconds, and not after the model is
loaded. With --only it starts nothing.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from enum import IntEnum

from .check_image import Command, agent_loop, environment, folders, keys, programs, releases
from .check_inputs import images, indexes, model
from .findings import Finding

HARBOR = "0.25.0"
"""Release whose interfaces this package is written for."""


class Exit(IntEnum):
    PASSED = 0
    USAGE = 2
    FAULTS = 3


def findings(options: argparse.Namespace, command: Command) -> Iterator[Finding]:
    expected = {"ray": options.ray, "verl": options.verl, "harbor": HARBOR}
    yield from releases(
        {package: release for package, release in expected.items() if release},
        needs_vllm=not (options.rehearsal or command.rehearses),
    )
    yield from programs(options.program)
    configuration, faults = keys(command)
    yield from faults
    if not options.image_only:
        yield from environment()
    if configuration is None:
        return
    yield from agent_loop(configuration)
    if options.image_only:
        return
    outputs = [configuration.trainer.default_local_dir, os.environ.get("HARBOR_TRIALS_DIR")]
    yield from folders(filter(None, outputs))
    yield from model(configuration, needs_weights=not command.rehearses)
    read, faults = indexes(configuration)
    yield from faults
    if options.images:
        yield from images(read)


def main(arguments: list[str] | None = None) -> int:
    options, argv = _parse(sys.argv[1:] if arguments is None else arguments)
    # Otherwise Harbor's LiteLLM asks the internet for prices as it is imported, and waits in vain.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    try:
        command = Command.of(argv)
    except ValueError as error:
        print(f"check: {error}", file=sys.stderr)
        return Exit.USAGE
    found = list(findings(options, command))
    for finding in found:
        print(f"check: {finding}", file=sys.stderr)
    if any(finding.severity == "fatal" for finding in found):
        return Exit.FAULTS
    print("check: image and inputs are as the run needs them", file=sys.stderr, flush=True)
    if not options.only:
        os.execvp(argv[0], argv)
    return Exit.PASSED


def _parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python3 -m swe_rl_training.check",
        usage="%(prog)s [OPTION...] -- COMMAND",
        description="Checks the image and the inputs of a run, and then starts it.",
        epilog="Exit codes: 0 all is well and --only is given, else the command's; 2 wrong usage; "
        "3 something is at fault.",
    )
    parser.add_argument("--ray", help="release of Ray that the Plan names")
    parser.add_argument("--verl", help="release of verl that the Plan names")
    parser.add_argument(
        "--program", action="append", default=[], help="program that must be there, such as nft"
    )
    parser.add_argument(
        "--rehearsal", action="store_true", help="without vLLM, as in the CPU variant of the image"
    )
    parser.add_argument("--image-only", action="store_true", help="leave model, data and folders out")
    parser.add_argument("--images", action="store_true", help="look the tasks' images up, too")
    parser.add_argument("--only", action="store_true", help="do not start the command")
    if "--" not in arguments:
        parser.parse_args(arguments)
        parser.error("there is no command behind --")
    at = arguments.index("--")
    return parser.parse_args(arguments[:at]), arguments[at + 1 :]


if __name__ == "__main__":
    sys.exit(main())
