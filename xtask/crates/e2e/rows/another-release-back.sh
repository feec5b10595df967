unchanged() { same "$(pods_on $SECOND)" "$(cat /run/e2e/pods)"; }
await 600 is node/$SECOND '{.status.nodeInfo.kubeletVersion}' "$(cat /run/e2e/version)"
await 600 kubectl wait --for=condition=Ready node/$SECOND --timeout=20s >/dev/null
await 120 unchanged
await 600 kubectl wait --for=condition=Ready pods --selector=app=web --field-selector=spec.nodeName=$SECOND --timeout=20s >/dev/null
await 120 answers web "$(await 120 web_on $SECOND .status.podIP)" 80
