"""The rows of tests/conformance.md: a test that is marked as one shows something that servers ask of their clients."""

import pathlib

TABLE = pathlib.Path(__file__).resolve().parents[2] / "conformance.md"
SERVERS = ("newest Pebble", "Caddy")
HEAD = """\
# What acme-agent has shown to do with real ACME servers

Made by `tests/e2e/run.py --table` from the tests of that run, each cell a test that passed. Pebble is the newest one of
Debian unstable with `-strict`, which in most of them refuses half of all nonces; Caddy is that of Debian 12 with
`acme_server`. A cell without a word: that server does not have it, or nothing was tried.

"""


def row(specification, what):
    def mark(test):
        test.row = (specification, what)
        return test
    return mark


def row_of(test):
    return getattr(getattr(test, test._testMethodName, None), "row", None)


class Table:
    def __init__(self):
        self.cells = {}  # (specification, what): the servers it was shown with
        self.whole = True  # no test of a row was skipped

    def note(self, test, passed, skipped):
        found = row_of(test)
        if not found:
            return
        self.whole = self.whole and not skipped
        self.cells.setdefault(found, set())
        if passed:
            self.cells[found].add(test.conformance_server)

    def text(self):
        lines = ["| specification | what | " + " | ".join(SERVERS) + " |", "|---|---|" + "---|" * len(SERVERS)]
        for (specification, what), shown in sorted(self.cells.items(), key=lambda cell: (order_of(cell[0][0]), cell[0][1])):
            lines.append(f"| {specification} | {what} | " + " | ".join("yes" if s in shown else "" for s in SERVERS) + " |")
        return HEAD + "\n".join(lines) + "\n"


def order_of(specification):
    """RFC 8555 and its sections first, then the later RFCs, then drafts."""
    words = specification.split()
    if words[0] != "RFC":
        return 1, specification
    return 0, int(words[1]), [int(part) for part in words[2].split(".")] if len(words) > 2 else []
