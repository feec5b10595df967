await 600 is pod/limits '{.status.phase}' Failed
is pod/limits '{.status.containerStatuses[0].state.terminated.reason}' OOMKilled
same "$(kubectl logs limits | xargs)" '50331648 50000 100000'
