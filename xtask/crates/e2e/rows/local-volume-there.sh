mkdir -p /var/lib/kubelet/local-volume
