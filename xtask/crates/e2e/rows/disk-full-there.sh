pidof kubelet >/run/e2e-kubelet
fallocate --length $(($(df --output=avail --block-size=1 / | tail -n 1) - 1048576)) /var/tmp/full
# Until nothing more can be written, whatever a filesystem keeps for itself.
if cat /dev/zero >/var/tmp/full.rest 2>/dev/null; then exit 1; fi
[ "$(df --output=avail / | tail -n 1)" -lt 1024 ]
