#!/usr/bin/env python3
"""run.py [--agent PATH] [--jobs N] [--keep] [--long] [--table] [PATTERN...]: the end-to-end tests, with real Pebble and Mosquitto.

PATTERN is part of a test's name, like "issuance" or "deployment.RowE4". Runs as root, ends with one line of counts.
"""

import argparse
import concurrent.futures
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import threading
import time
import unittest

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from support import conformance, programs, skips  # noqa: E402
from support.case import Case  # noqa: E402


def flatten(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from flatten(item)
        else:
            yield item


def name_of(test):
    module, kind, method = test.id().rsplit(".", 2)
    return f"{module.removeprefix('test_')}.{kind}.{method.removeprefix('test_')}"


class Run:
    def __init__(self, keep):
        self.keep = keep
        self.passed = self.failed = self.skipped = 0
        self.skip_reasons = {}
        self.table = conformance.Table()
        self.lock = threading.Lock()

    def one(self, test):
        if isinstance(test, unittest.loader._FailedTest):
            test.tell = test.remove_folder = lambda: ""
            test.figures = []
        result = unittest.TestResult()
        began = time.monotonic()
        test.run(result)
        seconds = time.monotonic() - began
        problems = [text for _, text in result.failures + result.errors]
        reasons = [reason for _, reason in result.skipped]
        problems += [f"skipped for a reason that is not in tests/skips.txt: {r}" for r in reasons if r not in skips.REASONS]
        sentence = name_of(test).replace("_", " ")
        with self.lock:
            self.table.note(test, not problems and not reasons, bool(reasons))
            if problems:
                self.failed += 1
                print(f"FAILED  {seconds:5.1f} s  {sentence}\n" + "\n".join(problems) + "\n" + test.tell(), flush=True)
            elif reasons:
                self.skipped += 1
                self.skip_reasons[reasons[0]] = self.skip_reasons.get(reasons[0], 0) + 1
                print(f"skipped {seconds:5.1f} s  {sentence}: {reasons[0]}", flush=True)
            else:
                self.passed += 1
                print(f"ok      {seconds:5.1f} s  {sentence}", flush=True)
            for line in test.figures:
                print(f"          {line}", flush=True)
        if not (self.keep and problems):
            test.remove_folder()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agent", type=pathlib.Path, default=HERE.parents[1] / "build/dev/acme-agent")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", action="store_true", help="keep the folders of failed tests")
    parser.add_argument("--long", action="store_true", help="the load tests at their full size: many minutes")
    parser.add_argument("--table", action="store_true", help="write tests/conformance.md anew: only the tests that it is made of")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("these tests run as root: they start Mosquitto as its own user")
    if not options.agent.exists():
        parser.error(f"there is no {options.agent}: build it, or name another with --agent")

    Case.long = options.long
    Case.build_folder = options.agent.resolve().parent
    Case.run_folder = pathlib.Path(tempfile.mkdtemp(prefix="acme-agent-e2e-"))
    Case.run_folder.chmod(0o755)
    # A copy where every user gets at it: some tests run the agent without privileges.
    Case.agent_path = Case.run_folder / "acme-agent"
    shutil.copy(options.agent, Case.agent_path)

    def stop(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, stop)

    tests = [t for t in flatten(unittest.defaultTestLoader.discover(str(HERE), pattern="test_*.py"))
             if not options.patterns or any(p in name_of(t) or p in name_of(t).replace("_", " ") for p in options.patterns)]
    if options.table:
        tests = [t for t in tests if conformance.row_of(t)]
    run = Run(options.keep)
    try:
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            futures = [pool.submit(run.one, test) for test in tests]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        left = programs.survivors()
        for pid, command in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            print(f"FAILED  left running: {pid} {command}")
            run.failed += 1
        if options.keep and run.failed:
            print(f"kept: {Case.run_folder}")
        else:
            shutil.rmtree(Case.run_folder, ignore_errors=True)

    if options.table:
        conformance.TABLE.write_text(run.table.text())
    elif not options.patterns and run.table.whole and conformance.TABLE.read_text() != run.table.text():
        print("FAILED  tests/conformance.md is not what this run has shown: write it anew with tests/e2e/run.py --table")
        run.failed += 1
    for reason, count in sorted(run.skip_reasons.items()):
        print(f"skipped {count}: {skips.REASONS[reason]}")
    if not tests:
        print("no test is called so")
        run.failed += 1
    print(f"{run.passed} passed, {run.failed} failed, {run.skipped} skipped")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
