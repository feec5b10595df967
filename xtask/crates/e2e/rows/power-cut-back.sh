kubectl rollout status deployment/busy --timeout=15m >/dev/null
pod=$(kubectl get pods --selector=app=busy --field-selector=status.phase=Running --output 'jsonpath={.items[0].metadata.name}')
# What pods had written is whole.
said=$(kubectl exec "$pod" -- sh -c 'cd /count && cat $(ls | grep -v new) | grep -vcE "^[1-9][0-9]*$"; cat /word/word' || true)
same "$said" '0
yes'
