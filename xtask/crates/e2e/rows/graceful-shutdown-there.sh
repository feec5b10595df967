# What this node's pods have when it shuts down: twenty seconds, and critical ones ten after them.
config=/var/lib/kubelet/config.yaml
sed -i '/^shutdownGracePeriod/d' $config
printf 'shutdownGracePeriod: 30s\nshutdownGracePeriodCriticalPods: 10s\n' >>$config
mkdir -p /var/lib/e2e
rm -f /var/lib/e2e/graceful
