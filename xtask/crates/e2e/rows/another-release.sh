# It says its version, has lost no pod, ends one, and what it starts runs.
other() { [ "$(get node/$SECOND '{.status.nodeInfo.kubeletVersion}')" != "$(cat /run/e2e/version)" ]; }
unchanged() { same "$(pods_on $SECOND)" "$(cat /run/e2e/pods)"; }
await 600 other
await 600 kubectl wait --for=condition=Ready node/$SECOND --timeout=20s >/dev/null
await 120 unchanged
await 600 kubectl wait --for=condition=Ready pods --selector=app=web --field-selector=spec.nodeName=$SECOND --timeout=20s >/dev/null
await 120 answers web "$(await 120 web_on $SECOND .status.podIP)" 80
kubectl delete pod "$(web_on $SECOND .metadata.name)" >/dev/null
kubectl rollout status deployment/web --timeout=10m >/dev/null
pods_on $SECOND >/run/e2e/pods
