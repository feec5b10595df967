kubectl patch service source-ranges --subresource=status --type=merge \
  --patch '{"status":{"loadBalancer":{"ingress":[{"ip":"198.51.100.7"}]}}}' >/dev/null
