# What leads to services is a pod of each node's, too.
kubectl --namespace kube-system rollout status daemonset/kube-proxy --timeout=10m >/dev/null
kubectl rollout status deployment/web --timeout=10m >/dev/null
