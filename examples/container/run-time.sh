#!/bin/sh
# run-time.sh FOLDER: copies there what acme-agent needs to run, and nothing more: no shell, no package manager. Of each library
# the record and the licence of its Debian package come along, for who looks for known holes.
set -euf
mkdir -p "$1/tmp" "$1/var/lib/dpkg/status.d"
chmod 1777 "$1/tmp"

copy() { # copy [OPTION] PATH...: to the folder
  tar --create --directory / "$@" | tar --extract --directory "$folder"
}

folder=$(realpath "$1")
loaded=$(ldd "$(command -v acme-agent)" "$(find /usr/lib -name libmosquitto.so.1)" | grep -o '/[^ :]*' | cut -c 2- | sort -u)
copy --dereference $loaded
# users, names, certificate authorities, local time, and the licences that the copyright files below name
copy etc/passwd etc/group etc/nsswitch.conf etc/ssl/certs etc/ssl/openssl.cnf usr/lib/ssl usr/share/ca-certificates \
  usr/share/zoneinfo etc/os-release usr/lib/os-release usr/share/common-licenses

for package in $(dpkg --search $(echo "$loaded" | sed 's|.*/|*/|') | sed 's/[:,].*//' | sort -u); do
  dpkg-query --status "$package" >"$folder/var/lib/dpkg/status.d/$package"
  copy "usr/share/doc/$package/copyright"
done
