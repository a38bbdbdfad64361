#!/bin/bash
# quickstart.sh: the main job of acme-agent, shown on this machine alone. Debian 12; root, or sudo.
#
# quickstart.sh --local: the same without any server or DNS, for a LAN: acme-agent issues for broker.lan itself.
#
# It installs what is missing, builds a release into build/release, and starts a real ACME server (Pebble), a DNS where
# mydyn.example is this machine, and Mosquitto as its own user. Beside them acme-agent obtains a certificate, puts it where
# Mosquitto reads it, makes Mosquitto reload it, looks at the port, and renews it while a client stays connected.
# Nothing stays running, and nothing stays behind outside of build/ but the packages that were missing.
set -euo pipefail
form=acme show=
for argument in "$@"; do
  case $argument in
    --local) form=local ;;
    --show) show=yes ;;
    -h | --help) sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "$0"; exit 0 ;;
    *) printf 'quickstart: %s is not known: write --local, --help or nothing\n' "$argument" >&2; exit 2 ;;
  esac
done
cd "$(dirname "$0")/.."
top=$PWD
agent=$top/build/release/acme-agent

step=0
say() { printf '%s\n' "$*" | fold -s -w 110 | sed '1s/^/    /; 2,$s/^/        /'; }
title() { step=$((step + 1)); printf '\n%s. %s\n' "$step" "$*"; }
die() { printf '\nquickstart: %s\n' "$*" >&2; exit 1; }

# ---------------------------------------------------------------------------------------------- install and build
if [ -z "$show" ]; then
  title "What is needed"
  . tests/support/install.sh
  # shellcheck disable=SC2046
  install_missing $(sed '/^# to test/,$d; /^#/d' tests/packages) openssl mosquitto mosquitto-clients libnss-wrapper \
    $([ $form = local ] || echo ca-certificates pebble)

  title "A release in build/release"
  say "The first time this takes some minutes; its log: build/release.log"
  mkdir -p build
  build() { cmake --preset release && exec cmake --build --preset release -j "$(nproc)"; }
  set -m  # a process group of its own, so that the compilers end with it
  build >build/release.log 2>&1 </dev/null &
  builder=$!
  set +m
  trap 'kill -TERM -- -$builder 2>/dev/null; exit 130' INT TERM
  minute=$((SECONDS + 60))
  while kill -0 $builder 2>/dev/null; do
    [ "$SECONDS" -lt $minute ] || { minute=$((SECONDS + 60)); say "$(grep -o '^\[[0-9]*/[0-9]*\]' build/release.log | tail -n 1) so far"; }
    sleep 0.5
  done
  wait $builder || { tail -n 30 build/release.log; die "the build failed; all of it is in build/release.log"; }
  trap - INT TERM
  say "$("$agent" --version)"

  # Mosquitto changes to its own user, which needs root.
  if [ "$(id -u)" = 0 ]; then exec "$0" --show "$@"; else exec sudo "$0" --show "$@"; fi
fi
step=2

# ---------------------------------------------------------------------------------------------- what ends it again
work=$(mktemp -d /tmp/acme-agent-quickstart.XXXXXX)
chmod 755 "$work"
pids=()
finish() {
  local code=$? i
  trap - EXIT INT TERM
  for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
    kill "${pids[i]}" 2>/dev/null && wait "${pids[i]}" 2>/dev/null || true
  done
  if [ "$code" != 0 ]; then
    for log in "$work"/*.log; do [ -s "$log" ] && { printf -- '--- the end of %s\n' "${log##*/}"; tail -n 15 "$log"; } >&2; done
  fi
  rm -rf "$work"
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT TERM

start() { # start NAME COMMAND...: in the background, its output in NAME.log
  local name=$1; shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  pids+=($!)
}

wait_until() { # wait_until SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || die "waited in vain for $what"
    sleep 0.1
  done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

given=" "
free_port() { # sets `port` to one where nobody listens
  while port=$((20000 + RANDOM % 10000)); listens "$port" || [[ $given = *" $port "* ]]; do :; done
  given+="$port "
}
for variable in acme management http tls dns dns_management mqtts; do free_port; declare "${variable}_port=$port"; done

# ---------------------------------------------------------------------------------------------- the world around it
start_acme_server() { # a DNS, and Pebble beside it
  start dns pebble-challtestsrv -defaultIPv6 "" -dns01 "127.0.0.1:$dns_port" -http01 "" -https01 "" -tlsalpn01 "" \
    -management "127.0.0.1:$dns_management_port"

  # Pebble's own HTTPS: a CA and a certificate for localhost.
  ec=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
  {
    openssl req -x509 "${ec[@]}" -days 2 -subj "/CN=CA of the quickstart" -keyout "$work/ca.key" -out "$work/ca.pem"
    openssl req "${ec[@]}" -subj "/CN=localhost" -keyout "$work/localhost.key" -out "$work/localhost.csr"
    openssl x509 -req -in "$work/localhost.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial -days 2 \
      -extfile <(echo "subjectAltName=DNS:localhost,IP:127.0.0.1") -out "$work/localhost.pem"
  } >"$work/openssl.log" 2>&1 || die "OpenSSL could not make a certificate for Pebble"

  cat >"$work/pebble.json" <<END
{"pebble": {"listenAddress": "127.0.0.1:$acme_port", "managementListenAddress": "127.0.0.1:$management_port",
            "certificate": "$work/localhost.pem", "privateKey": "$work/localhost.key",
            "httpPort": $http_port, "tlsPort": $tls_port, "ocspResponderURL": ""}}
END
  start pebble env PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=5 pebble -config "$work/pebble.json" -dnsserver "127.0.0.1:$dns_port"
  pebble_pid=${pids[-1]}
  wait_until 10 "Pebble" listens "$management_port"
  say "Pebble, an ACME server:  https://localhost:$acme_port/dir (it refuses 5 % of good nonces, to be nasty)"

  # What Pebble's certificates end at: the only thing that the clients below will trust.
  printf 'GET /roots/0 HTTP/1.0\r\nHost: localhost\r\n\r\n' |
    openssl s_client -quiet -connect "127.0.0.1:$management_port" -CAfile "$work/ca.pem" -verify_return_error 2>>"$work/openssl.log" |
    sed -n '/BEGIN CERT/,/END CERT/p' >"$work/root.pem"
  grep -q 'END CERT' "$work/root.pem" || die "Pebble does not tell its root certificate"
}

set_up_broker() {
  # Its name is its own, so that process:… finds this one even where another Mosquitto runs.
  mkdir "$work/broker"
  chown mosquitto: "$work/broker"
  ln -s "$(PATH=$PATH:/usr/sbin command -v mosquitto)" "$work/broker/mosq-quickstart"
  cat >"$work/mosquitto.conf" <<END
user mosquitto
allow_anonymous true
listener $mqtts_port 127.0.0.1
certfile $work/certs/fullchain.pem
keyfile $work/certs/privkey.pem
END
  say "Mosquitto:               localhost:$mqtts_port; it reads $work/certs, where nothing is yet"
}

leaf() { # the certificate on the wire, as a new client sees it
  openssl s_client -connect "127.0.0.1:$mqtts_port" -servername "$name" </dev/null 2>/dev/null | openssl x509 "$@" 2>/dev/null
}
show_leaf() { leaf -noout -subject -issuer -serial -enddate | sed 's/^/        /'; }
serial() { leaf -noout -serial | cut -d= -f2; }
issued() { leaf -noout -issuer | grep -q Pebble; }

start_agent() { # start_agent OPTIONS...
  options=("$@" --state-dir "$work/state" --cert-dir "$work/certs" --reload process:mosq-quickstart --probe "localhost:$mqtts_port")
  say "acme-agent ${options[*]}"
  start agent "$agent" "${options[@]}"
  agent_pid=${pids[-1]}
  wait_until 10 "the first files" test -e "$work/certs/fullchain.pem"
}

start_broker() {
  start mosquitto "$work/broker/mosq-quickstart" -c "$work/mosquitto.conf"
  mosquitto_pid=${pids[-1]}
  wait_until 10 "Mosquitto" serial
}

show_status() {
  wait_until 10 "the agent being content" "$agent" status "${options[@]}"
  "$agent" status "${options[@]}" | sed 's/^/        /'
}

# ---------------------------------------------------------------------------------------------- the main job
obtain_from_acme_server() {
  title "A world of its own on loopback: DNS, ACME server, broker"
  start_acme_server
  set_up_broker

  title "acme-agent starts; the ACME server is held back for a moment, so that there is time to look"
  kill -STOP "$pebble_pid"
  start_agent --domain $name --server "https://localhost:$acme_port/dir" --ca-bundle "$work/ca.pem" \
    --http-listen "127.0.0.1:$http_port"
  start_broker
  say "placeholder:  Mosquitto could start (as user $(stat -c %U "/proc/$mosquitto_pid")), it serves a self-signed certificate:"
  leaf -noout -subject -issuer -serial | sed 's/^/        /'
  placeholder=$(serial)

  title "The server answers: issuance, reload, proof on the wire"
  kill -CONT "$pebble_pid"
  wait_until 30 "a certificate of Pebble on the wire" issued
  [ "$(serial)" != "$placeholder" ] || die "the placeholder is still served"
  show_leaf
  grep -q 'Reloading config' "$work/mosquitto.log" || die "Mosquitto was not reloaded"
  say "reload:       Mosquitto says: $(grep -m 1 -o 'Reloading config.*' "$work/mosquitto.log")"
  show_status
}

obtain_from_own_authority() {
  title "A broker on loopback, for a LAN without a domain"
  set_up_broker

  title "acme-agent starts: it makes an authority, and issues"
  start_agent --domain $name --domain 127.0.0.1 --server local
  start_broker
  show_leaf
  show_status

  title "What the clients are to trust: its root"
  say "acme-agent ca export --domain $name --server local --state-dir $work/state $work/root.pem"
  # What it advises is for a broker on port 8883 that stays: here it is shown what is done with it.
  "$agent" ca export --domain $name --server local --state-dir "$work/state" "$work/root.pem" 2>"$work/export.log" || die "there is no root"
  say "mosquitto_sub -h $name -p $mqtts_port --cafile root.pem, as below"
}

began=$SECONDS
if [ $form = local ]; then
  name=broker.lan
  obtain_from_own_authority
else
  name=mydyn.example
  obtain_from_acme_server
fi
first=$(serial)

# mosquitto_pub and mosquitto_sub check the name on the certificate; only for them it is that of 127.0.0.1.
echo "127.0.0.1 $name" >"$work/hosts"
client=(env LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_HOSTS="$work/hosts")
mqtt=(-h $name -p "$mqtts_port" --cafile "$work/root.pem")

title "A device subscribes over TLS, checking the certificate, and gets a message"
start subscriber "${client[@]}" stdbuf -oL mosquitto_sub "${mqtt[@]}" -t quickstart -C 2 -W 60 -d -F 'MESSAGE %p'
subscriber_pid=${pids[-1]}
wait_until 10 "the subscription" grep -q SUBACK "$work/subscriber.log"
publish() {
  "${client[@]}" mosquitto_pub "${mqtt[@]}" -t quickstart -m "$1" 2>"$work/publish.log" ||
    die "mosquitto_pub failed: $(cat "$work/publish.log")"
}
publish "before the renewal"
wait_until 10 "the first message" grep -q "MESSAGE before the renewal" "$work/subscriber.log"
say "received:     $(grep -o 'MESSAGE .*' "$work/subscriber.log" | tail -n 1 | cut -d' ' -f2-)"

title "A renewal, while that device stays connected"
say "acme-agent renew $name --force --state-dir $work/state"
"$agent" renew $name --force --state-dir "$work/state" 2>&1 | sed 's/^/        /' || die "the renewal failed"
second=$(serial)
[ "$second" != "$first" ] || die "the certificate on the wire is still the first one"
show_leaf
kill -0 "$subscriber_pid" 2>/dev/null || die "the device lost its connection"
publish "after the renewal"
wait_until 10 "the second message" grep -q "MESSAGE after the renewal" "$work/subscriber.log"
say "received:     $(grep -o 'MESSAGE .*' "$work/subscriber.log" | tail -n 1 | cut -d' ' -f2-)"
connections=$(grep -c 'sending CONNECT' "$work/subscriber.log")
[ "$connections" = 1 ] || die "the device had to connect again"

title "The end: SIGTERM"
kill -TERM "$agent_pid"
code=0
wait "$agent_pid" || code=$?
[ "$code" = 0 ] || die "acme-agent ended with $code"
say "acme-agent ended with 0; this is what it had to say:"
sed 's/^/        /' "$work/agent.log"

if [ $form = local ]; then
  seen="    an authority       made here, offline; the clients trust its root
    an issuance        serial $first, for $name and 127.0.0.1, and the proof of it on port $mqtts_port"
  root="the root of that authority"
else
  seen="    a placeholder      serial $placeholder, so that Mosquitto could start before any certificate was there
    an issuance        serial $first, from Pebble over ACME with HTTP-01
    a reload           by SIGHUP, and the proof of it on port $mqtts_port"
  root="Pebble's root"
fi
cat <<END

Seen, in $((SECONDS - began)) s:
$seen
    MQTT over TLS      two messages, the certificate checked against $root and the name $name
    a renewal          serial $second, while the subscribed device stayed connected on one connection
END
