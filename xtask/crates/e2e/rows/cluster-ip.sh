address=$(get service/web '{.spec.clusterIP}')
all=$(kubectl get pods --selector=app=web --output 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | sort | tr '\n' ' ')
# reaches_all POD: it asks often enough that chance alone would hardly leave one server out.
reaches_all() { same "$(ask_from "$1" "$address" 8080 12 | sort -u | tr '\n' ' ')" "$all"; }
for node in $FIRST $SECOND; do
  # A pod is ready before the proxies of all nodes know.
  await 30 reaches_all "$(web_on $node .metadata.name)"
done
