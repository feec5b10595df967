pidof kubelet >/run/e2e-kubelet
fallocate --length $(($(df --output=avail --block-size=1 / | tail -n 1) - 1048576)) /var/tmp/full
# To the last byte.
cat /dev/zero >/var/tmp/full.rest 2>/dev/null || true
same "$(df --output=avail / | tail -n 1 | tr -d ' ')" 0
