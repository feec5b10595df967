address=$(get service/web '{.spec.clusterIP}')
for node in $FIRST $SECOND; do
  # Each pod asks often enough that chance alone would hardly leave one server out.
  said=$(ask_from "$(web_on $node .metadata.name)" "$address" 8080 12 | sort -u | tr '\n' ' ')
  same "$said" "$(kubectl get pods --selector=app=web --output 'jsonpath={.items[*].metadata.name}' | tr ' ' '\n' | sort | tr '\n' ' ')"
done
