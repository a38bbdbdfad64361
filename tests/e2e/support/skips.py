"""The closed list of reasons to skip a test stands in tests/skips.txt; any other reason is a failure."""

import pathlib
import unittest

_FILE = pathlib.Path(__file__).resolve().parents[2] / "skips.txt"
REASONS = dict(line.split(None, 1) for line in _FILE.read_text().splitlines() if line and not line.startswith("#"))


def skip(reason):
    raise unittest.SkipTest(reason)
