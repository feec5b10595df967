# The kubelet by README's command for containerd, with the host's /dev.
set -e
mkdir -p /var/lib/kubelet /var/log/pods /etc/kubernetes/manifests
modprobe loop
bind() { echo "--mount type=bind,src=$1,dst=$1,options=rbind:$2"; }
ctr run -d --privileged --net-host --with-ns pid:/proc/1/ns/pid --with-ns uts:/proc/1/ns/uts \
  $(bind /etc/machine-id ro) $(bind /sys/fs/cgroup rw) $(bind /run/containerd rw) $(bind /var/lib/containerd rw) \
  $(bind /var/lib/kubelet rw) $(bind /var/log/pods rw) $(bind /etc/kubernetes rw) $(bind /dev rw) \
  --env KUBELET_STANDALONE=1 --log-uri file:///var/log/kubelet.log \
  IMAGE kubeletd /usr/bin/entrypoint
for i in $(seq 300); do
  ctr task exec --exec-id "probe$i" kubeletd /usr/bin/entrypoint probe >/dev/null 2>&1 && exit 0
  sleep 1
done
tail -n 40 /var/log/kubelet.log
exit 1
