kubectl delete configmap promise --ignore-not-found >/dev/null
hold $FIRST
# What the API server has said yes to is on etcd's disk.
kubectl create configmap promise --from-literal=word=given >/dev/null
