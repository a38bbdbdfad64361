#!/bin/sh
# cross.sh ARCH: the Debian package for arm64 or armhf, in build/cross/ARCH, and every unit test there under qemu-user.
# For Debian 12, as root. What that takes is in a Debian of its own, build/cross/ARCH/root: nothing foreign is installed on this machine.
set -eu
cd "$(dirname "$0")/.."
arch=${1-}
case $arch in
  arm64) triplet=aarch64-linux-gnu processor=aarch64 ;;
  armhf) triplet=arm-linux-gnueabihf processor=arm ;;
  *) sed -n '2,3s/^# //p' "$0" >&2; exit 2 ;;
esac
build=build/cross/$arch root=$PWD/build/cross/$arch/root
mkdir -p "$build"
: >"$build/tests.log"

# From the release alone: a library has to be of one version for both architectures, and in updates one may be late.
make_root() {
  . tests/support/install.sh
  install_missing mmdebstrap podman runc lintian file
  mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | awk '$2 == "bookworm" { print $1; exit }')
  tools="crossbuild-essential-$arch cmake ninja-build pkg-config nlohmann-json3-dev doctest-dev qemu-user-static file"
  started_by_tests="openssl ca-certificates python3 procps bind9 mosquitto"
  libraries=$(sed '/^# to test/,$d' tests/packages | sed -n "s/^\(lib\|prometheus\).*/&:$arch/p")
  rm -rf --one-file-system "$root"
  mmdebstrap --quiet --variant=apt --dpkgopt=force-unsafe-io --architectures="amd64,$arch" \
    --include="$tools $started_by_tests $libraries" bookworm "$root" "deb $mirror bookworm main"
  touch "$root.is-whole"
}

inside() { # inside COMMAND...: in that Debian, at the top of the sources, without a network
  podman run --rm --runtime runc --privileged --network none --ulimit nofile=1024:1024 --ulimit nproc=4000:4000 --tmpfs /tmp \
    --volume "$PWD:$PWD" --workdir "$PWD" --env LC_ALL=C.UTF-8 --env EMULATED=yes --env DEB_HOST_ARCH="$arch" \
    --env PKG_CONFIG_LIBDIR="/usr/lib/$triplet/pkgconfig:/usr/share/pkgconfig" --rootfs "$root" "$@"
}

[ -e "$root.is-whole" ] || make_root
inside cmake --preset release -B "$build" -DACME_AGENT_TESTS=ON -DACME_AGENT_WERROR=ON \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=$processor -DCMAKE_CXX_COMPILER=$triplet-g++ \
  -DCMAKE_CROSSCOMPILING_EMULATOR=/usr/bin/qemu-$processor-static -DCPACK_DEBIAN_PACKAGE_ARCHITECTURE="$arch" >"$build/build.log"
inside cmake --build "$build" -j "$(nproc)" >>"$build/build.log" 2>&1 || { cat "$build/build.log"; exit 1; }

rm -f "$build"/*.deb
inside cpack -G DEB --config "$build/CPackConfig.cmake" -B "$build" >>"$build/build.log" 2>&1
package=$(echo "$build"/acme-agent_*_"$arch".deb)
stat --format '%n: %s bytes' "$package"
dpkg-deb --field "$package" Architecture Depends
file --brief "$build/acme-agent"
words=$(lintian --allow-root --fail-on none "$package")
[ -z "$words" ] || { echo "$words"; exit 1; }

inside ctest --test-dir "$build" --tests-regex '^unit\.' -j "$(nproc)" --verbose >"$build/tests.log" 2>&1
