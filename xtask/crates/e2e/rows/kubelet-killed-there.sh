kill -9 $(pidof kubelet)
