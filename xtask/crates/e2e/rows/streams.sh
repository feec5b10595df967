ready streams
logs() { has "$(kubectl logs streams)" "$1"; }
await 60 logs 'to stdout' >/dev/null
logs 'to stderr'
same "$(printf 'a\nb\n' | kubectl exec --stdin streams -- cat | tr '\n' ' ')" 'a b '
code=0
kubectl exec streams -- sh -c 'exit 7' 2>/dev/null || code=$?
same $code 7
# It may stay attached after its input's end.
echo attached | kubectl attach --stdin streams >/dev/null 2>&1 &
attach=$!
await 60 logs 'read attached' >/dev/null
kill $attach 2>/dev/null || true

coproc kubectl port-forward pod/streams 8090:80
trap 'kill $COPROC_PID' EXIT
read -r -u "${COPROC[0]}" said
has "$said" 'Forwarding from 127.0.0.1:8090'
await 60 answers forwarded 127.0.0.1 8090
