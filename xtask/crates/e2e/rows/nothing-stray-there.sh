# Neither a directory nor a mount of a pod that is gone, and no state that the kubelet could not read.
strays() {
  local known stray
  known=$(crictl pods --state Ready --output json | sed -n 's/.*"io.kubernetes.pod.uid": "\([^"]*\)".*/\1/p')
  stray=$({ ls /var/lib/kubelet/pods; sed -n 's#^[^ ]* /var/lib/kubelet/pods/\([^/ ]*\)/.*#\1#p' /proc/mounts; } | sort -u | grep -vxF "$known" || true)
  same "$stray" ''
}
await 600 strays
if [ -e /var/log/kubelet.log ]; then
  same "$(grep -iE 'corrupt|could not restore state' /var/log/kubelet.log || true)" ''
fi
