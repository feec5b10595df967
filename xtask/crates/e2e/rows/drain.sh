kubectl drain $SECOND --ignore-daemonsets --delete-emptydir-data --force --timeout=10m >/dev/null
is node/$SECOND '{.spec.unschedulable}' true
# All that is left there belongs to the node.
left=$(kubectl get pods --all-namespaces --field-selector="spec.nodeName=$SECOND" --output 'jsonpath={range .items[*]}{.metadata.ownerReferences[0].kind} {end}')
same "$(tr ' ' '\n' <<<"$left" | grep -v '^$' | sort -u)" DaemonSet
kubectl uncordon $SECOND >/dev/null
kubectl rollout status deployment/web --timeout=10m >/dev/null
