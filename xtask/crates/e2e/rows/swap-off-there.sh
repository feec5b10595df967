busybox swapoff /swap
rm /swap
mv /var/lib/e2e-config.yaml /var/lib/kubelet/config.yaml
