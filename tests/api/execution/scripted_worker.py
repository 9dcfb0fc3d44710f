"""A worker process without a job: what it does is the first word of the job's identifier.

works-...       until it is asked to end, or killed
stubborn-...    until it is killed
ends-...        nothing, and ends
crashes-...     nothing, and ends with exit code 3
"""

from __future__ import annotations

import argparse
import signal
import time


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("job")
    given, _ = parser.parse_known_args()
    print("output of", given.job, flush=True)
    word = given.job.partition("-")[0]
    if word == "crashes":
        raise SystemExit(3)
    if word == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
    while word in {"works", "stubborn"}:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
