kubectl label --overwrite node/$SECOND e2e-swap=on
for pod in swap-burstable swap-guaranteed; do await 600 is pod/$pod '{.status.phase}' Succeeded; done
minor=${RELEASE#v1.} && minor=${minor%%.*}
found=$(kubectl logs swap-burstable)
if [ "$minor" -lt 28 ]; then
  same "$found" max
else
  # As much of the swap as its request is of the node's memory.
  memory=$(get node/$SECOND '{.status.capacity.memory}')
  expected=$((128 * 1024 * 262144 / ${memory%Ki} * 1024))
  case $found in
    '' | *[!0-9]*) same "$found" "about $expected" ;;
  esac
  if [ "$found" -lt $((expected * 9 / 10)) ] || [ "$found" -gt $((expected * 11 / 10)) ]; then same "$found" "about $expected"; fi
  same "$(kubectl logs swap-guaranteed)" 0
fi
kubectl label node/$SECOND e2e-swap-
