await 600 is pod/probes '{.status.containerStatuses[0].started}' true
# It is alive and not ready.
is pod/probes '{.status.containerStatuses[0].ready}' false
kubectl exec probes -- touch /state/ready
ready probes
kubectl exec probes -- rm /state/ready
await 120 is pod/probes '{.status.containerStatuses[0].ready}' false
is pod/probes '{.status.containerStatuses[0].restartCount}' 0
kubectl exec probes -- rm /state/alive
await 180 is pod/probes '{.status.containerStatuses[0].restartCount}' 1
# It did not end when it was asked to, started again, and made itself alive.
is pod/probes '{.status.containerStatuses[0].lastState.terminated.exitCode}' 137
await 120 is pod/probes '{.status.containerStatuses[0].started}' true
