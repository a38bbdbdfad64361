#!/bin/sh
# run.sh [--long]: installs what is missing, builds with sanitizers and runs every test. For Debian 12; root, or sudo.
# --long adds the whole round under ThreadSanitizer and the packages for other machines, and runs the load tests at their full size.
# Ends with "N passed, N failed, N skipped", and with 0 only if nothing failed.
set -eu
cd "$(dirname "$0")/.."
long=no long_option=
case "${1-}" in
  --long) long=yes long_option=--long ;;
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

# The same with Node-RED, which no package of Debian has; its parts are not to run anything while they are put there.
fetch_node_red() {
  [ -e build/node-red/node_modules/node-red/red.js ] ||
    npm install --prefix build/node-red --ignore-scripts --no-audit --no-fund node-red@4 >build/node-red.log 2>&1 ||
    echo "Node-RED cannot be fetched here"
}

# The newest Mosquitto, made to run with the libraries that came with it.
fetch_mosquitto() {
  [ -x build/newest/mosquitto ] && return
  libraries=$PWD/build/newest/usr/lib/$(cc -print-multiarch)
  { tests/support/newest-debian.sh build/newest mosquitto libc6 libssl3t64 libcjson1 libmicrohttpd12t64 libwrap0 libsystemd0 \
      libpicohttpparser1 libdlt3 && /sbin/ldconfig -n "$libraries" &&
      patchelf --set-interpreter "$(ls "$libraries"/ld-linux*)" --set-rpath "$libraries" --output build/newest/mosquitto \
        build/newest/usr/sbin/mosquitto; } || echo "the newest Mosquitto cannot be fetched here"
}

build() { # build PRESET
  cmake --preset "$1" $(command -v ccache >/dev/null && echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache) >"build/$1.log" 2>&1 &&
    cmake --build --preset "$1" -j "$jobs" >>"build/$1.log" 2>&1 || { cat "build/$1.log"; return 1; }
}

# A doctest program counts with its cases, any other test as one; a program that fails in another way is one failure.
# A case that skips says so with a word of skips.txt. (The one that doctest skips itself talks to Pebble: the end-to-end
# tests run it.)
count_unit_tests() { # count_unit_tests LOG: what `ctest --verbose` has written there
  log=$1
  counts=$(awk '
    NR == FNR { if ($0 !~ /^#/) reasons[$1] = 1; next }
    /^[0-9]+: .* skipped: / { word = $0; sub(/.* skipped: /, "", word); sub(/[^a-z-].*/, "", word)
                   n = $1 + 0; ok[n]--; if (word in reasons) skipped++; else unknown++ }
    /^[0-9]+: \[doctest\] test cases:/ { n = $1 + 0; sub(/.*test cases:/, ""); split($0, count, "|"); ok[n] += count[2]; bad[n] = count[3] + 0 }
    /^ *[0-9]+\/[0-9]+ Test +#/ { ended++; sub(/.*Test +#/, ""); n = $1 + 0
                                  if ($0 !~ / Passed /) { if (!bad[n]) bad[n] = 1 } else if (!(n in ok)) ok[n] = 1 }
    END { for (n in ok) passed += ok[n]
          for (n in bad) failed += bad[n]
          print passed + 0, failed + unknown + (ended == 0), skipped + 0 }' tests/skips.txt "$log")
  # shellcheck disable=SC2086
  add $counts
  # shellcheck disable=SC2086
  set -- $counts
  [ "$2" = 0 ] || cat "$log"
  grep -E '^ *[0-9]+/[0-9]+ Test +#' "$log" || true
  echo "$1 passed, $2 failed, $3 skipped"
  [ "$2" = 0 ]
}

unit_tests() { # unit_tests PRESET [WRAPPER...]: as root, since some of what they test only root can do
  preset=$1; shift
  log=build/$preset-tests.log
  as_root "$@" ctest --preset "$preset" -j "$jobs" --verbose >"$log" 2>&1 || true
  as_root chown -R "$(id -u):$(id -g)" "build/$preset/Testing"
  count_unit_tests "$log"
}

e2e_tests() { # e2e_tests PRESET [WRAPPER...]
  preset=$1; shift
  log=build/$preset-e2e.log
  { as_root "$@" tests/e2e/run.py ${long_option:+"$long_option"} --agent "build/$preset/acme-agent" 2>&1 || true; } | tee "$log"
  counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
  # shellcheck disable=SC2086
  add ${counts:-0 1 0}
}

# What nobody can think of, for 20 s each: finds are failures, and so is a compiler that cannot build this.
fuzzing() {
  log=build/fuzz-run.log
  { tests/fuzz/run.py --jobs 2 20 2>&1 || true; } | tee "$log"
  counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
  # shellcheck disable=SC2086
  add ${counts:-0 1 0}
}

# A thousand years of renewals under faults (three minutes on two cores), with --long a hundred thousand (five hours).
simulation() {
  runs=100
  [ $long = no ] || runs=10000
  if build/sim/tests/sim/acme-agent-sim --runs $runs --years 10 --jobs "$jobs"; then add 1 0 0; else add 0 1 0; fi
}

# The same with our own authority and its devices, until its first root has rolled over; with --long the second, too.
simulation_of_our_own() {
  runs=2 years=11
  [ $long = no ] || runs=200 years=25
  if build/sim/tests/sim/acme-agent-sim --local --runs $runs --years $years --jobs "$jobs"; then add 1 0 0; else add 0 1 0; fi
}

# The package of an ARCH, and the unit tests there.
cross() {
  if as_root tests/cross.sh "$1"; then add 1 0 0; else add 0 1 0; fi
  count_unit_tests "build/cross/$1/tests.log"
}

# Two of the twelve, others tomorrow; all of them with --long.
planted_bugs() {
  log=build/planted-bugs.log
  first=$(($(date +%-j) % 6 * 2 + 1))
  which="$first $((first + 1))"
  [ $long = no ] || which=
  # shellcheck disable=SC2086
  { tests/sim/planted_bugs.py --build build/sim --jobs "$jobs" $which 2>&1 || true; } | tee "$log"
  counts=$(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log" | tail -n 1)
  # shellcheck disable=SC2086
  add ${counts:-0 1 0}
}

section "packages" install_packages || { add 0 1 0; finish; }
mkdir -p build
section "the newest Pebble" fetch_pebble
section "Node-RED" fetch_node_red
section "the newest Mosquitto" fetch_mosquitto
section "build with ASan and UBSan" build dev || { add 0 1 0; finish; }
section "unit tests" unit_tests dev || true
# The package that the end-to-end tests install is made of this build, too.
simulated=yes
section "build of the simulation and of a release" build sim || simulated=no
section "end-to-end tests" e2e_tests dev || true
if [ $simulated = yes ]; then
  section "years of a broker" simulation
  section "years of our own authority" simulation_of_our_own
  section "planted bugs" planted_bugs
else
  add 0 1 0
fi
if section "build with clang and libFuzzer" build fuzz; then
  section "fuzzing" fuzzing
else
  add 0 1 0
fi

if [ $long = yes ]; then
  section "build with TSan" build tsan || { add 0 1 0; finish; }
  # ThreadSanitizer of GCC 12 cannot live with as much address randomization as newer kernels have.
  fixed=$(setarch -R true 2>/dev/null && echo setarch -R || true)
  # shellcheck disable=SC2086
  if $fixed build/tsan/acme-agent --version >build/tsan-tests.log 2>&1; then
    section "unit tests under TSan" unit_tests tsan $fixed env TSAN_OPTIONS=die_after_fork=0 || true
    section "end-to-end tests under TSan" e2e_tests tsan $fixed || true
  else
    cat build/tsan-tests.log
    echo "skipped: no-tsan"
    add 0 0 1
  fi
  for arch in arm64 armhf; do
    section "package and unit tests for $arch" cross "$arch" || true
  done
fi
finish
