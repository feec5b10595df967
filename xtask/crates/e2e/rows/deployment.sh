kubectl rollout status deployment/web --timeout=10m >/dev/null
same "$(kubectl get pods --selector=app=web --output 'jsonpath={.items[*].spec.nodeName}' | tr ' ' '\n' | sort | tr '\n' ' ')" "$FIRST $SECOND "
is deployment/web '{.status.readyReplicas}' 2
