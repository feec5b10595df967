before=$(kubectl get pods --selector=app=web --output=name | sort)
kubectl set env deployment/web CHANGED="$(date +%s)" >/dev/null
kubectl rollout status deployment/web --timeout=15m >/dev/null
alone() { same "$(kubectl get pods --selector=app=web --output=name | wc -l)" 2; }
await 120 alone
for pod in $(kubectl get pods --selector=app=web --output=name); do
  case $before in *"$pod"*) echo "$pod was there before" >&2 && exit 1 ;; esac
done
