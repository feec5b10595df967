steady
same "$(await 300 get configmap/promise '{.data.word}')" given
held $FIRST
kubectl delete configmap promise >/dev/null
