# Five minutes after the last time that there was too little.
await 900 is node/$SECOND '{.status.conditions[?(@.type=="DiskPressure")].status}' False
kubectl delete pods --field-selector=status.phase=Failed >/dev/null
kubectl rollout status deployment/web --timeout=15m >/dev/null
await 120 answers web "$(await 120 web_on $SECOND .status.podIP)" 80
