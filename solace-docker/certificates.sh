#!/bin/sh
# Makes certificates/ca.pem, which clients trust, and certificates/server.pem (key and certificate in one file, as the
# broker wants them), for localhost and for the containers' names. For a POC: the authority's own key is thrown away.
set -eu
cd "$(dirname "$0")"
umask 077
command -v openssl >/dev/null || { echo "certificates.sh: openssl is not installed" >&2; exit 3; }
if [ -e certificates/server.pem ]; then
  echo "certificates.sh: certificates/server.pem is there already; remove the folder to make new ones" >&2
  exit 2
fi
mkdir -p certificates
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names="DNS:localhost,DNS:solace,DNS:solace-primary,DNS:solace-backup,IP:127.0.0.1"
openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj "/CN=crep POC authority" \
  -keyout "$work/ca.key" -out "$work/ca.pem" 2>/dev/null
openssl req -newkey rsa:3072 -nodes -subj "/CN=localhost" -keyout "$work/server.key" -out "$work/server.csr" 2>/dev/null
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" >"$work/extensions"
openssl x509 -req -days 365 -in "$work/server.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -CAcreateserial \
  -extfile "$work/extensions" -out "$work/server.crt" 2>/dev/null
# The broker runs as a user of its own inside the container, and must be able to read the file.
cat "$work/server.key" "$work/server.crt" >certificates/server.pem
cp "$work/ca.pem" certificates/ca.pem
chmod 755 certificates
chmod 644 certificates/server.pem certificates/ca.pem
echo "made certificates/server.pem for $names, and certificates/ca.pem for clients (tls: {ca_file: …})"
