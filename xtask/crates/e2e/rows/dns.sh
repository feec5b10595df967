echo 'nameserver 10.96.0.10' >/etc/resolv.conf
await 300 answers web web.default.svc.cluster.local 8080
