#!/usr/bin/env python3
"""run.py [--build DIR] [--work DIR] [--jobs N] [--cut] [SECONDS] [TARGET...]

Runs the programs of tests/fuzz (preset 'fuzz' builds them), SECONDS each (20), all or those named. What they learn stays in
WORK/<target>/ and is used again; what they find is WORK/<target>-crash-… (or -leak-, -timeout-, -oom-, -slow-unit-): run
the program with that file to see it again, mend it, and put the file into corpus/<target>/ under a name that says
what it shows. --cut adds what WORK has and the corpus lacks for its coverage to the corpus, instead of fuzzing.

Ends with "N passed, N failed, 0 skipped", a target counting as one, and with 0 only if nothing was found.
"""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# Target: its dictionary, the longest input worth trying, and its share of the time: what only a user of this machine can
# write gets a quarter of it.
TARGETS = {
    "problem": ("acme", 4096, 1),
    "directory": ("acme", 2048, 1),
    "order": ("acme", 2048, 1),
    "headers": ("headers", 512, 1),
    "dates": ("dates", 64, 1),
    "base64url": (None, 256, 1),
    "pem_chain": ("pem", 4096, 1),
    "certificate": ("der", 2048, 1),
    "issued": ("der", 4096, 1),
    "http01_request": ("http", 10240, 1),
    "tls_alpn": (None, 4096, 1),
    "session": ("session", 8192, 1),
    "dns_message": (None, 1232, 1),
    "config_file": ("config", 2048, 1),
    "documents": ("acme", 2048, 0.25),
    "private_key": ("pem", 4096, 0.25),
    "text": ("text", 512, 0.25),
    "tsig_key": ("text", 512, 0.25),
    "control_line": (None, 6144, 0.25),
}

# Short stacks and a small quarantine make the programs twice as fast, a file system in memory those that write files.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "malloc_context_size=4:quarantine_size_mb=16"}
if os.access("/dev/shm", os.W_OK):
    ENVIRONMENT["TMPDIR"] = "/dev/shm"


def command(target, options, *more):
    dictionary, longest, _ = TARGETS[target]
    program = options.build / "tests" / "fuzz" / f"{target}_fuzz"
    words = [str(program), "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1",
             f"-max_len={longest}", f"-artifact_prefix={options.work}/{target}-"]
    if dictionary:
        words.append(f"-dict={HERE}/dictionaries/{dictionary}")
    return [*words, *more, str(options.work / target), str(HERE / "corpus" / target)]


def run(words, log):
    """The exit code, and the seconds of processor time."""
    with open(log, "wb") as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, env=ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_utime + usage.ru_stime


def last(pattern, text, none="?"):
    found = re.findall(pattern, text, re.MULTILINE)
    return found[-1] if found else none


def fuzz(target, options):
    """The line to print about one target, and what it found, if anything."""
    seconds = max(1, round(options.seconds * TARGETS[target][2]))
    (options.work / target).mkdir(parents=True, exist_ok=True)
    log = options.work / f"{target}.log"
    before = set(options.work.glob(f"{target}-*"))
    code, busy = run(command(target, options, f"-max_total_time={seconds}"), log)
    text = log.read_text(errors="replace")
    finds = sorted(path.name for path in set(options.work.glob(f"{target}-*")) - before)
    # A unit that is slow on a busy machine is told, no more.
    failed = code != 0 or any("-slow-unit-" not in name for name in finds)
    executed = int(last(r"^stat::number_of_executed_units: *(\d+)", text, "0"))
    covered, features = last(r" cov: (\d+)", text), last(r" ft: (\d+)", text)
    line = (f"{'FAILED' if failed else 'ok':6} {target:15} {seconds:4} s {executed:>9} executions, {executed / max(busy, 0.01):6.0f} a CPU second,"
            f" cov {covered} ft {features}, finds: {' '.join(finds) or 'none'}")
    return line, text[-6000:] if failed else ""


def cut(target, options):
    """Adds to the corpus the fewest units of WORK that cover what the corpus does not."""
    corpus = HERE / "corpus" / target
    before = len(list(corpus.iterdir()))
    words = command(target, options, "-merge=1")
    words[-2:] = words[:-3:-1]
    code, _ = run(words, options.work / f"{target}-cut.log")
    return f"{target}: {before} units, now {len(list(corpus.iterdir()))}", "" if code == 0 else f"the merge ended with {code}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--work", type=Path, help="BUILD/work")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("words", nargs="*", metavar="[SECONDS] TARGET")
    options = parser.parse_args()
    options.targets = options.words
    options.seconds = int(options.targets.pop(0)) if options.words[:1] and options.words[0].isdecimal() else 20
    options.work = (options.work or options.build / "work").resolve()

    sources = {path.name.removesuffix("_fuzz.cpp") for path in HERE.glob("*_fuzz.cpp")}
    if sources != set(TARGETS):
        sys.exit(f"run.py and the sources disagree about {' '.join(sorted(sources ^ set(TARGETS)))}")
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        sys.exit(f"no such target: {' '.join(unknown)} (there are {' '.join(TARGETS)})")

    options.work.mkdir(parents=True, exist_ok=True)
    failed = 0
    chosen = options.targets or list(TARGETS)
    with ThreadPoolExecutor(options.jobs) as pool:
        for line, trouble in pool.map(lambda target: (cut if options.cut else fuzz)(target, options), chosen):
            print(line, flush=True)
            if trouble:
                failed += 1
                print(trouble, flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
