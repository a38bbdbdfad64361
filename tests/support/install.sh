# Read by tests/run.sh and examples/quickstart.sh: Debian packages that are missing, without questions and without side effects.

# install_missing PACKAGE...: installs those that are not there; nothing is asked, no service that comes with one runs on.
install_missing() {
  missing=
  for package; do
    case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null) in
      ?i*) ;;
      *) missing="$missing $package" ;;
    esac
  done
  [ -n "$missing" ] || { echo "everything is there"; return 0; }
  as_root=
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "these packages are missing, and there is neither root nor sudo to install them:$missing" >&2; return 1; }
    as_root=sudo
  fi
  echo "installing$missing"
  # Locks that another apt holds are waited for; the mirror gets another chance.
  apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3"
  log=$(mktemp)
  # shellcheck disable=SC2086
  if ! { $apt update && $apt install -y --no-install-recommends $missing; } >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
  # Debian starts a server with its installation. Nobody asked for one: it stays off until its owner turns it on.
  [ -d /run/systemd/system ] || return 0
  for package in $missing; do
    case $package in
      mosquitto | caddy | nats-server | prometheus | haproxy) $as_root systemctl disable --quiet --now "$package.service" ;;
      certbot) $as_root systemctl disable --quiet --now certbot.timer ;;
      podman) $as_root systemctl disable --quiet --now podman.socket podman.service podman-restart.service podman-auto-update.timer ;;
      bind9) $as_root systemctl disable --quiet --now named.service ;;
    esac
  done
}
