await 1200 booted $SECOND
await 900 kubectl wait --for=condition=Ready node/$SECOND --timeout=20s >/dev/null
await 600 is pod/graceful '{.status.phase}' Failed
is pod/graceful '{.status.reason}' Terminated
has "$(get pod/graceful '{.status.message}')" 'node shutdown'
# Pods that ended so stay for who wants to read of them; others take their places.
kubectl delete pods --all-namespaces --selector='e2e!=graceful-shutdown' --field-selector="spec.nodeName=$SECOND,status.phase=Failed" >/dev/null
await 900 kubectl rollout status deployment/web --timeout=20s >/dev/null
await 900 kubectl --namespace kube-system rollout status daemonset/kube-proxy --timeout=20s >/dev/null
await 120 answers web "$(await 120 web_on $SECOND .status.podIP)" 80
