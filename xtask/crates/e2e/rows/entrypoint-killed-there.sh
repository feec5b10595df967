kubelet=$(pidof kubelet)
kill -9 $(pidof entrypoint)
# Its kubelet is not left behind: a second one beside it would fight for the same pods.
gone() { [ ! -e "/proc/$kubelet" ]; }
await 60 gone
