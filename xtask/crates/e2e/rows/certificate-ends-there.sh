# This kubelet's certificate becomes one that was valid for a year and is for another fifteen minutes.
cd "$(mktemp -d)"
current=/var/lib/kubelet/pki/kubelet-client-current.pem
cat >ca.cnf <<'END'
[ca]
default_ca = kubernetes
[kubernetes]
database = issued
new_certs_dir = .
serial = serial
policy = any
default_md = sha256
x509_extensions = client
[any]
O = supplied
CN = supplied
[client]
keyUsage = critical, digitalSignature
extendedKeyUsage = clientAuth
[req]
distinguished_name = asked
[asked]
END
: >issued
echo 7e2e >serial
openssl req -config ca.cnf -new -key $current -subj "/O=system:nodes/CN=system:node:$FIRST" -out request
openssl ca -config ca.cnf -batch -preserveDN -notext -in request -out ends.pem \
  -cert /etc/kubernetes/pki/ca.crt -keyfile /etc/kubernetes/pki/ca.key \
  -startdate "$(date --utc --date='1 year ago' +%Y%m%d%H%M%SZ)" -enddate "$(date --utc --date='15 minutes' +%Y%m%d%H%M%SZ)" 2>said ||
  { cat said >&2 && exit 1; }
openssl pkey -in $current >>ends.pem
install -m 600 ends.pem /var/lib/kubelet/pki/kubelet-client-e2e.pem
ln -sfn kubelet-client-e2e.pem $current
