#!/usr/bin/env python3
"""planted_bugs.py --build FOLDER [--jobs N] [--runs N] [NUMBER...]

Plants one bug after the other into the product, as each of them could have been made, and demands that the simulation
turns red. FOLDER is a build of acme-agent-sim; only the one file with the bug is compiled, and linked in front of the
libraries. A bug whose place is not found any more is a failure, too: it has to be planted anew.
Ends with "N passed, N failed, N skipped".
"""

import argparse
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]

# With our own authority, to the day when the first root has a successor and some weeks more.
LOCAL = ["--local", "--years", "11"]

# What it is, the file, and each exact text with what stands in its place; then what else the simulation is to be told.
BUGS = [
    ("the broker is told to reload before the new files are there", "src/broker/deployer.cpp",
     [("    if (!settled && (!installed() || files_.why_unreadable())) install();",
       "    const bool later = !settled && (!installed() || files_.why_unreadable());"),
      ("const std::optional<Error> untold = reload();\n    // Where",
       "const std::optional<Error> untold = reload();\n    if (later) install();\n    // Where")]),
    ("the ladder of waits is forgotten over a restart", "src/agent/attempt.cpp",
     [("  record.cert_dir = managed.target.folder;\n",
       "  record.cert_dir = managed.target.folder;\n  if (wish.look) record.servers.clear();\n")]),
    ("the suggested window is entered at its wrong end", "src/agent/planner.cpp",
     [("in_whole_seconds(suggested.start + Duration(", "in_whole_seconds(suggested.end + Duration(")]),
    ("Retry-After is ignored", "src/agent/order.cpp",
     [("standing.not_before = error.not_before();", "standing.not_before.reset();")]),
    ("an order that may not replace the certificate is not placed without that", "src/agent/issue.cpp",
     [("if (!asking_again_may_help(refused)) throw;", "if (refused.remedy() != Remedy::wait) throw;")]),
    ("an order of an earlier run is not picked up", "src/agent/issue.cpp",
     [("if (request.pending_order.empty()) return std::nullopt;",
       "if (request.pending_order != \"x\") return std::nullopt;")]),
    ("files that broke the handshakes are not rolled back", "src/broker/deployer.cpp",
     [("if (const std::optional<std::string> worse = worsened(shown_before, after)) return go_back(*worse, after);",
       "if (worsened(shown_before, after)) return not_served(after);")]),
    ("the clock is not compared with the server's", "src/agent/order.cpp",
     [("if (const std::optional<std::string> why = why_clock_is_wrong(now(), *date)) blame_clock(server, *why);",
       "if (*date == TimePoint()) blame_clock(server, \"\");")]),
    ("the server's rate limits are not kept", "src/agent/rate_limits.cpp",
     [("  if (known == nullptr) return now;", "  if (known == nullptr || now > TimePoint()) return now;")]),
    ("the server is asked only once when it would have the certificate renewed", "src/agent/order.cpp",
     [("if (advice.next_check && *advice.next_check > now() && *advice.next_check <= now() + longest_check) return;",
       "if (advice.window) {\n    advice.next_check = now() + longest_check;\n    return;\n  }")]),
    ("the chain comes without the new root as the one before has signed it", "src/authority/authority.cpp",
     [("if (root->cross && root->cross->validity().contains(now)) issuers",
       "if (root->cross && root->cross->validity().not_after < now) issuers")], LOCAL),
    ("a list of what is revoked is signed again only when it has ended", "src/authority/revocations.cpp",
     [("*list.next_update - now > list_lifetime / 2;", "*list.next_update > now;")], LOCAL),
]


def planted(file, changes):
    """The text of the file with the bug in it."""
    text = (ROOT / file).read_text()
    for exact, replacement in changes:
        if text.count(exact) != 1:
            raise RuntimeError(f"{file} has this {text.count(exact)} times instead of once, so that the bug must be "
                               f"planted elsewhere:\n{exact}")
        text = text.replace(exact, replacement)
    return text


class Build:
    def __init__(self, folder):
        self.folder = folder
        self.place = folder / "planted"
        self.place.mkdir(exist_ok=True)
        self.compilations = {entry["file"]: entry["command"]
                             for entry in json.loads((folder / "compile_commands.json").read_text())}
        commands = subprocess.run(["ninja", "-C", folder, "-t", "commands", "acme-agent-sim"], check=True,
                                  capture_output=True, text=True).stdout
        self.linking = commands.strip().splitlines()[-1]

    def run(self, command):
        result = subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{command}\n{result.stdout}{result.stderr}")

    def with_bug(self, file, changes):
        """The simulation with the bug in it."""
        source = ROOT / file
        copy = self.place / source.name
        copy.write_text(planted(file, changes))
        compiled = copy.with_suffix(".o")
        command = self.compilations[str(source)]
        command = re.sub(r" -o \S+", f" -o {shlex.quote(str(compiled))}", command)
        command = command.replace(str(source), str(copy)) + f" -I{source.parent} -w"
        self.run(command)
        program = self.place / "acme-agent-sim"
        self.run(self.linking.replace(" -o tests/sim/acme-agent-sim", f" {compiled} -o {program}"))
        return program


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=lambda text: pathlib.Path(text).resolve(), required=True)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--runs", type=int, default=40, help="a bug must be found in so many decades")
    parser.add_argument("numbers", nargs="*", type=int, help="of the bugs to plant; all if none is given")
    options = parser.parse_args()
    build = Build(options.build)
    passed = failed = 0
    for number, (what, file, changes, *further) in enumerate(BUGS, 1):
        if options.numbers and number not in options.numbers:
            planted(file, changes)  # that it could be
            continue
        began = time.monotonic()
        try:
            program = build.with_bug(file, changes)
            run = subprocess.run([program, "--runs", str(options.runs), "--jobs", str(options.jobs), "--first",
                                  *(further[0] if further else [])], capture_output=True, text=True, timeout=900)
            red = run.returncode == 1 and " failed at " in run.stdout
            said = run.stdout.splitlines()[0] if run.stdout else run.stderr
        except (RuntimeError, KeyError, subprocess.TimeoutExpired) as error:
            red, said = False, str(error)
        passed, failed = passed + red, failed + (not red)
        print(f"{'ok    ' if red else 'FAILED'} {number:2}. {what} ({time.monotonic() - began:.0f} s)\n          {said}",
              flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
