ready security
said=$(kubectl exec security -- sh -c '
  id -u && id -g && id -G
  touch /file 2>/dev/null || echo read-only
  touch /shared/file && stat -c %g /shared/file
  grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/self/status | tr "\t" " "')
same "$said" '1234
2345
2345 3456
read-only
3456
CapEff: 0000000000000000
NoNewPrivs: 1
Seccomp: 2'
