ready init-containers
kubectl delete pod init-containers --timeout=10m >/dev/null
