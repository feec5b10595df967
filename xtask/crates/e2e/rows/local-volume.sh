# The scheduler knows where the volume is; what one pod wrote, the next one reads.
pod() { kubectl get pods --selector=app=local-volume --field-selector=status.phase=Running --output 'jsonpath={.items[0].metadata.name}'; }
kubectl scale deployment/local-volume --replicas=1 >/dev/null
kubectl rollout status deployment/local-volume --timeout=10m >/dev/null
first=$(await 120 pod)
is persistentvolumeclaim/local-volume '{.status.phase}' Bound
is "pod/$first" '{.spec.nodeName}' $SECOND
same "$(await 60 kubectl exec "$first" -- cat /data/word)" "$first"
kubectl delete pod "$first" >/dev/null
another() { second=$(pod) && [ "$second" != "$first" ] && echo "$second"; }
second=$(await 600 another)
ready "$second"
same "$(kubectl exec "$second" -- cat /data/word)" "$first"
