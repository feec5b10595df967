await 900 is node/$SECOND '{.status.conditions[?(@.type=="DiskPressure")].status}' True
evicted() { has "$(kubectl get pods --selector=app=web --field-selector="spec.nodeName=$SECOND" --output 'jsonpath={.items[*].status.reason}')" Evicted; }
await 600 evicted
# It is a node still, and no pod may come to it.
is node/$SECOND '{.status.conditions[?(@.type=="Ready")].status}' True
has "$(get node/$SECOND '{.spec.taints[*].key}')" node.kubernetes.io/disk-pressure
