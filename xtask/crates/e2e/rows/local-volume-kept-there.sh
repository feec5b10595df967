[ -s /var/lib/kubelet/local-volume/word ]
