cat >/etc/kubernetes/manifests/lonely.yaml <<'END'
apiVersion: v1
kind: Pod
metadata: { name: lonely, namespace: default, labels: { e2e: static-pod } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: [sleep, "100000"]
END
