# Empty: the case may have run before.
rm -rf /var/lib/kubelet/local-volume
mkdir /var/lib/kubelet/local-volume
