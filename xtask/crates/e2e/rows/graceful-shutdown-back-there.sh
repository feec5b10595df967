same "$(cat /var/lib/e2e/graceful)" $'asked\nended'
sed -i '/^shutdownGracePeriod/d' /var/lib/kubelet/config.yaml
