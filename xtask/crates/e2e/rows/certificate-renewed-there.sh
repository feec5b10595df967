current=/var/lib/kubelet/pki/kubelet-client-current.pem
await 600 openssl x509 -in $current -noout -checkend 86400 >/dev/null
has "$(openssl x509 -in $current -noout -subject -nameopt RFC2253)" "CN=system:node:$FIRST"
has "$(kubectl get certificatesigningrequests)" "system:node:$FIRST"
since
await 600 spoke $FIRST
rm /var/lib/kubelet/pki/kubelet-client-e2e.pem
