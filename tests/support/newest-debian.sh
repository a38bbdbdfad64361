#!/bin/sh
# newest-debian.sh FOLDER PACKAGE...: unpacks the newest version of Debian packages (unstable) below FOLDER. They come from
# the mirror that this machine's apt uses (which may be behind: it is for tests), their signatures are checked, and the
# system's own packages stay as they are.
set -eu
[ $# -ge 2 ] || { sed -n 2,4p "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/debs"

mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | awk '$2 == "bookworm" { print $1; exit }')
[ -n "$mirror" ] || { echo "newest-debian.sh: apt knows no mirror of bookworm; run apt-get update" >&2; exit 1; }
echo "deb $mirror sid main" >"$folder/apt/sources.list"

unstable() {
  apt-get -qq -o Dir::Etc::sourcelist="$folder/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::Lists="$folder/apt/lists" -o Dir::Cache="$folder/apt/cache" -o APT::Sandbox::User="$(id -un)" \
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=20 "$@"
}

unstable update
cd "$folder/debs"
for package; do
  unstable download "$package/sid" >/dev/null
  dpkg -x "$(ls -t "$package"_*.deb | head -n 1)" "$folder"
done
# Only what was unpacked stays.
rm -rf "$folder/apt" "$folder/debs"
