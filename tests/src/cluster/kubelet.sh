#!/bin/sh
# Waits for a cluster, since nothing starts it again. Debian has its containerd look for CNI plugins in /usr/lib/cni. With
# the host's /dev, where loop devices come later.
bind_to() { echo "--mount type=bind,src=$1,dst=$2,options=rbind:rw"; }
ID=kubeletd
MORE="-d --env KUBELET_WAIT=on --log-uri file:///var/log/kubelet.log $(bind_to /usr/lib/cni /host/opt/cni/bin) $(bind_to /dev /dev)"
RECIPE
