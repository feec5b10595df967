set -e
modprobe -a br_netfilter overlay
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables
mkdir -p /var/lib/kubelet /var/log/pods /etc/kubernetes /usr/lib/cni
# A file before the kubelet's container, which cannot make it here for kube-proxy: the runtime would make a directory.
: >>/run/xtables.lock
cat >/etc/crictl.yaml <<END
runtime-endpoint: unix:///run/containerd/containerd.sock
END
start-kubelet
