kubectl wait --for=condition=Complete job/job --timeout=10m >/dev/null
is job/job '{.status.succeeded}' 2
same "$(kubectl logs --selector=job-name=job | tr '\n' ' ')" 'done done '
