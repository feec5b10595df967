kubectl rollout status daemonset/everywhere --timeout=10m >/dev/null
# By the host's network and processes: its name, and its process 1.
same "$(kubectl logs --selector=e2e=daemon-set | sort | tr '\n' ' ')" "init init $FIRST $SECOND "
