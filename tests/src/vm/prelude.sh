set -eu

# Waits at most so many seconds until a command succeeds.
await() {
  limit=$1 since=$(cut -d. -f1 /proc/uptime)
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $(($(cut -d. -f1 /proc/uptime) - since)) -gt "$limit" ]; then
      echo "not within $limit s: $*" >&2
      return 1
    fi
    sleep 0.3
  done
}

# What the kubelet says of its health.
healthy() { [ "$(busybox wget -qO- http://127.0.0.1:10248/healthz 2>/dev/null)" = ok ]; }

# Puts a static pod on the host that says what it sees of two volumes, which the kubelet mounts by the image's own `mount`.
static_pod() {
  mkdir -p /etc/kubernetes/manifests
  cat >"/etc/kubernetes/manifests/$1.yaml" <<EOF
apiVersion: v1
kind: Pod
metadata: {name: $1, labels: {app: $1}}
spec:
  hostNetwork: true
  terminationGracePeriodSeconds: 1
  containers:
  - name: $1
    image: localhost/busybox:latest
    imagePullPolicy: Never
    command: ["/bin/sh", "-c", "grep ' /scratch ' /proc/mounts; cat /info/labels; echo; exec sleep 100000"]
    volumeMounts:
    - {name: scratch, mountPath: /scratch}
    - {name: info, mountPath: /info}
  volumes:
  - name: scratch
    emptyDir: {medium: Memory, sizeLimit: 8Mi}
  - name: info
    downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}
EOF
}

# What the containers of such a pod have said.
pod_log() { cat /var/log/pods/*_"$1"-*/"$1"/*.log; }
says() { pod_log "$1" | grep -q "$2"; }
