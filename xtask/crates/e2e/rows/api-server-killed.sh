keep $SECOND
restarts() { kubectl --namespace kube-system get pod kube-apiserver-$FIRST --output 'jsonpath={.status.containerStatuses[0].restartCount}'; }
before=$(restarts)
kill -9 $(pidof kube-apiserver)
restarted() { [ "$(restarts)" -gt "$before" ]; }
await 900 restarted
steady
kept $SECOND
