kubectl patch service source-ranges --type=merge \
  --patch "{\"spec\":{\"loadBalancerSourceRanges\":[\"$FIRST_ADDRESS/32\"]}}" >/dev/null
