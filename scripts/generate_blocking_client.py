"""Writes `actsearch/client/blocking.py`: the asynchronous client with the words of asyncio taken out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "actsearch" / "client"
SOURCE, TARGET = CLIENT / "asynchronous.py", CLIENT / "blocking.py"

# Whole words of the source and what stands for them; the first that fits counts.
WORDS = {
    r"It is the source of both: .*": 'Generated from `asynchronous.py` by `scripts/generate_blocking_client.py`."""',
    r"  # noqa: ASYNC109.*": "",
    r"\[(\w+) async for \1 in (.*)\]": r"list(\2)",
    r"(?<!async )\bfor (\w+) in ([\w.]+):\n +yield \1\n": r"yield from \2\n",
    r", for asyncio": "",
    r"\basync (def|with|for)\b": r"\1",
    r"\bawait ": "",
    r"\b__aenter__\b": "__enter__",
    r"\b__aexit__\b": "__exit__",
    r"\baclose\b": "close",
    r"\baread\b": "read",
    r"\baiter_sse\b": "iter_sse",
    r"\bAbstractAsyncContextManager\b": "AbstractContextManager",
    r"\bAsyncIterator\b": "Iterator",
    r"\bAsyncBaseTransport\b": "BaseTransport",
    r"\bAsyncClient\b": "Client",
    r"\bAsyncJobHandle\b": "JobHandle",
    r"\bimport asyncio\n": "",
    r"\basyncio\.sleep\b": "time.sleep",
    r"\basynchronous\b(?!\.py)": "blocking",
}


def blocking(source: str) -> str:
    """The blocking client's code, formatted.

    Args:
        source: code of the asynchronous client.

    Raises:
        ValueError: a word of asyncio is left that `WORDS` does not have.
    """
    for word, instead in WORDS.items():
        source = re.sub(word, instead, source)
    left = sorted(set(re.findall(r".*\b(?:async|await|asyncio|a(?:next|iter)|Async\w*|__a\w+__)\b.*", source)))
    if left:
        raise ValueError(f"no blocking form is known for: {'; '.join(left)}; add it to WORDS")
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    TARGET.write_text(blocking(SOURCE.read_text(encoding="utf-8")), encoding="utf-8")
