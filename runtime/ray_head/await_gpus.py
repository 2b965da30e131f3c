"""Waits until the Ray cluster has the GPUs of a run. Runs on the Ray head, before the run itself.

    await_gpus.py GPUS

verl looks once, as it starts, and fails where a node is still missing (verl/trainer/ppo/ray_trainer.py,
verl 0.9.1); but a node that is replaced takes minutes to come, and its image more. The wait has no
end of its own: it ends with the run's submission.

Exit codes: 0 they are there; 2 wrong arguments; 4 Ray does not accept this driver.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

LOOK_SECONDS = 3.0

REMINDER_SECONDS = 60.0
"""Between two lines that say the same."""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Waits for the GPUs of a run.")
    parser.add_argument("gpus", type=int, metavar="GPUS", help="number of GPUs of the run")
    wanted: int = parser.parse_args(arguments).gpus
    import ray

    try:
        ray.init(
            address=os.environ.get("RAY_ADDRESS", "auto"),
            namespace="swe-rl-launch",
            log_to_driver=False,
            logging_level="ERROR",
        )
    except Exception as error:
        print(f"await_gpus: Ray does not accept this driver: {error}", flush=True)
        return 4
    shown, said_at = -1, 0.0
    while (there := int(ray.cluster_resources().get("GPU", 0))) < wanted:
        if there != shown or time.monotonic() - said_at > REMINDER_SECONDS:
            print(f"await_gpus: Ray has {there} of {wanted} GPUs; waiting for its workers", flush=True)
            shown, said_at = there, time.monotonic()
        time.sleep(LOOK_SECONDS)
    if shown >= 0:
        print(f"await_gpus: Ray has {there} GPUs", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
