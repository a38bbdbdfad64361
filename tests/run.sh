#!/bin/sh
# run.sh [--long]: installs what is missing, builds with sanitizers and runs every test. For Debian 12; root, or sudo.
# --long adds the whole round under ThreadSanitizer.
# Ends with "N passed, N failed, N skipped", and with 0 only if nothing failed.
set -eu
cd "$(dirname "$0")/.."
long=no
case "${1-}" in
  --long) long=yes ;;
  "") ;;
  *) sed -n '2,4s/^# //p' "$0" >&2; exit 2 ;;
esac

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
jobs=$(nproc)
passed=0 failed=0 skipped=0
began=$(date +%s)

section() { # section TITLE COMMAND...: runs it and tells how long it took
  title=$1; shift
  printf '== %s\n' "$title"
  start=$(date +%s)
  result=0
  "$@" || result=$?
  printf '== %s: %s s\n\n' "$title" $(($(date +%s) - start))
  return $result
}

add() { passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3)); }

finish() {
  printf 'the whole run: %s s\n' $(($(date +%s) - began))
  printf '%s passed, %s failed, %s skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" = 0 ] || exit 1
  exit 0
}

install_packages() {
  # shellcheck disable=SC2046
  . tests/support/install.sh
  install_missing $(grep -v '^#' tests/packages)
}

# The newest Pebble; where it cannot be had, the tests that want it are skipped, and counted.
fetch_pebble() {
  [ -x build/newest/usr/bin/pebble ] || tests/support/newest-debian.sh build/newest pebble ||
    echo "the newest Pebble cannot be fetched here"
}

build() { # build PRESET
  cmake --preset "$1" $(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) >"build/$1.log" 2>&1 &&
    cmake --build --preset "$1" -j "$jobs" >>"build/$1.log" 2>&1 || { cat "build/$1.log"; return 1; }
}

unit_tests() { # unit_tests PRESET [WRAPPER...]
  preset=$1; shift
  log=build/$preset-tests.log
  "$@" ctest --preset "$preset" -j "$jobs" --verbose >"$log" 2>&1 || true
  # A doctest program counts with its cases, any other test as one; a program that fails in another way is one failure.
  counts=$(awk '
    /\[doctest\] test cases:/ { split($0, p, /[^0-9]+/); n = $1 + 0
                                sub(/.*test cases:/, ""); split($0, c, "|"); ok[n] = c[2] + 0; bad[n] = c[3] + 0; left[n] = c[4] + 0 }
    /^ *[0-9]+\/[0-9]+ Test +#/ { sub(/.*Test +#/, ""); n = $1 + 0; seen++
                                  if ($0 !~ / Passed /) { if (!bad[n]) bad[n] = 1 } else if (!(n in ok)) ok[n] = 1 }
    END { if (!seen) b = 1; for (n in ok) a += ok[n]; for (n in bad) b += bad[n]; for (n in left) s += left[n]
          print a + 0, b + 0, s + 0 }' "$log")
  # shellcheck disable=SC2086
  add $counts
  set -- $counts
  if [ "$2" != 0 ]; then grep -vE ': \[doctest\] (doctest version|run with)' "$log"; fi
  grep -E '^ *[0-9]+/[0-9]+ Test +#' "$log" || true
  [ "$2" = 0 ]
}

e2e_tests() { # e2e_tests PRESET
  log=build/$1-e2e.log
  { as_root env PYTHONDONTWRITEBYTECODE=1 tests/e2e/run.py --agent "build/$1/acme-agent" 2>&1 || true; } | tee "$log"
  counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
  # shellcheck disable=SC2086
  add ${counts:-0 1 0}
}

section "packages" install_packages || { add 0 1 0; finish; }
mkdir -p build
section "the newest Pebble" fetch_pebble
section "build with ASan and UBSan" build dev || { add 0 1 0; finish; }
section "unit tests" unit_tests dev || true
section "end-to-end tests" e2e_tests dev || true

if [ $long = yes ]; then
  section "build with TSan" build tsan || { add 0 1 0; finish; }
  # ThreadSanitizer of GCC 12 cannot live with as much address randomization as newer kernels have
  fixed=$(setarch -R true 2>/dev/null && echo setarch -R || true)
  # shellcheck disable=SC2086
  section "unit tests under TSan" unit_tests tsan $fixed || true
  section "end-to-end tests under TSan" e2e_tests tsan || true
fi
finish
