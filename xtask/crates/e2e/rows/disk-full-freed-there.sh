rm /var/tmp/full /var/tmp/full.rest
# What was put out had images, which are of no registry here.
await 120 /usr/lib/vm/up containerd
# It is the same kubelet as before.
same "$(pidof kubelet)" "$(cat /run/e2e-kubelet)"
