# A subPath is a directory of the volume, on the host, too.
ls /var/lib/kubelet/pods/*/volumes/kubernetes.io~empty-dir/scratch/a/b/file
