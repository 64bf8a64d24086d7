"""Run on a GPU what can run there: the engine's tests, and cohorts against plain PyTorch. `make gpu`.

Of `tests/training`, what trains by the fixture `train_toy` takes a GPU where there is one, the rest the CPU. The
benchmark is `benchmarks/cohort.py`. Both go to `benchmarks/gpu-<device>.json`; the last line is the same JSON. It ends
with 1 where there is no GPU, a test fails, or the benchmark does.

    python scripts/gpu.py [--rounds 3] [--seconds 0.5] [--models mlp,convnet]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent
SECONDS_OF_TESTS = 300


def main() -> None:
    """Test, measure, write down."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="of the benchmark")
    parser.add_argument("--seconds", type=float, default=0.5, help="of the benchmark, a contender and round")
    parser.add_argument("--models", default="", help="comma list; all if left out")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("make gpu needs a CUDA GPU and a PyTorch built for it; this machine has none that PyTorch sees")
    name = torch.cuda.get_device_name()
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "cuda": torch.version.cuda}
    found["tests"] = tested()
    found["cohort"] = measured(given.rounds, given.seconds, given.models)
    target = ROOT / "benchmarks" / f"gpu-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    target.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found["cohort"]["rows"] if found["cohort"] else []))
    print(json.dumps(found))
    sys.exit(found["tests"]["exit"] != 0 or found["cohort"] is None)


def tested() -> dict[str, Any]:
    """How the tests ended; their output is printed."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", "8", "-p", "no:cacheprovider"]
    pytest += ["--confcutdir=tests/training", "tests/training"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": _path()}
    try:
        ended = subprocess.run(
            pytest, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SECONDS_OF_TESTS, check=False
        )
    except subprocess.TimeoutExpired:
        return {"exit": -1, "summary": f"not done after {SECONDS_OF_TESTS} s"}
    lines = ended.stdout.strip().splitlines()
    print("\n".join(lines[-150:]), ended.stderr[-2000:], flush=True)
    return {"exit": ended.returncode, "summary": lines[-1] if lines else ended.stderr[-200:]}


def measured(rounds: int, seconds: float, models: str) -> dict[str, Any] | None:
    """The benchmark's JSON; None where it failed."""
    script = [sys.executable, "benchmarks/cohort.py", "--rounds", str(rounds), "--seconds", str(seconds)]
    script += ["--models", models] if models else []
    environment = os.environ | {"PYTHONPATH": _path()}
    with subprocess.Popen(script, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        last = ""
        for line in running.stdout:
            print(last := line.strip(), flush=True)
    return json.loads(last) if running.returncode == 0 else None


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown, as RESULTS.md has them."""
    lines = ["| network | K | together | trial-steps a second | against one at a time | against 4 processes |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    for row in rows:
        ratios = f"{row['ratio_sequential']:g} | {row['ratio_processes']:g}"
        network = f"{row['model']} of width {row['width']}"
        lines.append(f"| {network} | {row['k']} | {row['size']} | {row['steps_per_second_cohort']} | {ratios} |")
    return "\n".join(lines)


def _path() -> str:
    return os.pathsep.join([str(ROOT), str(ROOT / "workers"), os.environ.get("PYTHONPATH", "")])


if __name__ == "__main__":
    main()
