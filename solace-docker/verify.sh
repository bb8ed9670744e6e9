#!/bin/sh
# Proves this folder on a machine with Docker: starts each target, runs a short scenario on it, looks at what must be
# there, and removes it again. Prints a line for each check; exit code 1 if one failed, 3 if it could not begin.
set -u
cd "$(dirname "$0")"
for program in docker crep curl openssl; do
  command -v "$program" >/dev/null || { echo "verify.sh: $program is not installed" >&2; exit 3; }
done
docker version >/dev/null 2>&1 || { echo "verify.sh: Docker's daemon does not answer" >&2; exit 3; }
CREP_SOLACE_ADMIN_PASSWORD=${CREP_SOLACE_ADMIN_PASSWORD:-$(openssl rand -hex 12)}
SOLACE_GROUP_KEY=${SOLACE_GROUP_KEY:-$(openssl rand -base64 33)}
export CREP_SOLACE_ADMIN_PASSWORD SOLACE_GROUP_KEY
results=$(mktemp -d)
failed=0

check() { # name command…
  name=$1
  shift
  if "$@" >"$results/log" 2>&1; then word=ok; else word=FAILED; failed=1; fi
  printf '%-62s %s\n' "$name" "$word"
  [ "$word" = ok ] || sed 's/^/    /' "$results/log" | tail -n 20
}

semp() { # port path
  curl --silent --fail --user "admin:$CREP_SOLACE_ADMIN_PASSWORD" "http://localhost:$1/SEMP/v2/$2"
}

for target in solace-docker solace-docker-ha kafka-docker kafka-docker-3; do
  check "$target: starts" crep broker start "$target"
  case $target in
    solace-docker) check "$target: message VPN internal is there" semp 8080 config/msgVpns/internal
                   check "$target: message VPN external is there" semp 8080 config/msgVpns/external ;;
    solace-docker-ha) check "$target: the backup has the message VPN too" semp 8280 config/msgVpns/internal ;;
  esac
  check "$target: a scenario loses nothing" \
    crep run sustained --on "$target" --repeat 1 -p rate=100/s -p "hold=10 s" --out "$results/$target"
  check "$target: its counts can be recomputed" crep verify "$results/$target"
  check "$target: stops" crep broker stop "$target"
done
check "certificates are made" ./certificates.sh
check "TLS: the broker starts with them" \
  docker compose -f compose.yaml -f compose.tls.yaml --profile solace up --detach --wait
check "TLS: SEMP shows a certificate that clients trust" \
  curl --silent --fail --cacert certificates/ca.pem --user "admin:$CREP_SOLACE_ADMIN_PASSWORD" \
  https://localhost:1943/SEMP/v2/config/about/api
check "TLS: stops" docker compose -f compose.yaml -f compose.tls.yaml --profile solace down --volumes
echo "run folders: $results"
exit $failed
