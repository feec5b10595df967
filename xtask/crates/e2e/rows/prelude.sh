#!/bin/bash
# What the steps of cases begin with. They run once: what takes time is waited for.
set -euo pipefail
export KUBECONFIG=/etc/kubernetes/admin.conf

# await SECONDS COMMAND...: until it succeeds; what it said last is told if it never does.
await() {
  local seconds=$1 end=$((SECONDS + $1)) said
  shift
  until said=$("$@" 2>&1); do
    if [ $SECONDS -ge "$end" ]; then
      echo "not within $seconds s: $*"$'\n'"$said" >&2
      return 1
    fi
    sleep 1
  done
  printf '%s' "$said"
}

# same FOUND EXPECTED
same() { if [ "$1" != "$2" ]; then printf 'expected `%s`, found `%s`\n' "$2" "$1" >&2 && return 1; fi; }

# has TEXT WORDS
has() { case $1 in *"$2"*) ;; *) printf 'no `%s` in:\n%s\n' "$2" "$1" >&2 && return 1 ;; esac; }

# get OBJECT PATH: a value of it, by JSONPath.
get() { kubectl get "$1" --output "jsonpath=$2"; }

# is OBJECT PATH VALUE
is() { same "$(get "$1" "$2")" "$3"; }

ready() { await 600 kubectl wait --for=condition=Ready "pod/$1" --timeout=20s >/dev/null; }

# ask ADDRESS PORT: what a server of HTTP answers this machine.
ask() { timeout 20 bash -c "exec 3<>/dev/tcp/$1/$2 && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && sed '1,/^\r*\$/d' <&3"; }

# answers TEXT ADDRESS PORT
answers() { has "$(ask "$2" "$3")" "$1"; }

# ask_from POD ADDRESS PORT [TIMES]: the last line of what it answers a pod, each time. By nc: wget of Debian's static busybox
# looks for the name of a port, and crashes where there are no libraries for that.
ask_from() {
  kubectl exec "$1" -- sh -c "for i in $(seq -s ' ' "${4-1}"); do printf 'GET / HTTP/1.0\r\n\r\n' | timeout 20 nc $2 $3 | tail -n 1; done"
}

# web_on NODE PATH: a value of the web server's pod there.
web_on() { kubectl get pods --selector=app=web --field-selector="spec.nodeName=$1,status.phase=Running" --output "jsonpath={.items[0]$2}"; }

# The containers on a node that have to outlive what is done to it.
containers() {
  local namespace
  for namespace in default kube-system; do
    kubectl --namespace "$namespace" get pods --selector='app in (web), !e2e' --field-selector="spec.nodeName=$1" \
      --output 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
    kubectl --namespace "$namespace" get pods --selector='k8s-app' --field-selector="spec.nodeName=$1" \
      --output 'jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[*].containerID} {.status.containerStatuses[*].restartCount}{"\n"}{end}'
  done | sort
}

# The API server answers, and goes on to: one that was restarted may be ended by its own probes where it is slow.
steady() {
  local in_a_row=0 end=$((SECONDS + 900))
  until [ $in_a_row -eq 5 ]; do
    if kubectl get --raw=/readyz >/dev/null 2>&1; then in_a_row=$((in_a_row + 1)); else in_a_row=0; fi
    if [ $SECONDS -ge $end ]; then echo 'the API server is not steady within 900 s' >&2 && return 1; fi
    sleep 2
  done
}

# keep NODE: notes its containers, and when; kept NODE: they are the same, ready, and the node's kubelet has spoken since then.
keep() {
  steady
  mkdir -p /run/e2e
  containers "$1" >/run/e2e/containers
  [ "$(wc -l </run/e2e/containers)" -ge 2 ] || { echo "too few containers on $1:" && cat /run/e2e/containers && return 1; } >&2
  since
}
since() { mkdir -p /run/e2e && date --utc +%FT%TZ >/run/e2e/since; }
spoke() { [[ $(kubectl --namespace kube-node-lease get "lease/$1" --output 'jsonpath={.spec.renewTime}') > $(cat /run/e2e/since) ]]; }
# Their kubelet has to have looked at them again: what it lost would be missed then.
kept() {
  await 600 spoke "$1"
  await 600 kubectl wait --for=condition=Ready "node/$1" --timeout=20s >/dev/null
  same "$(await 120 containers "$1")" "$(cat /run/e2e/containers)"
  await 300 kubectl wait --for=condition=Ready pods --selector=app=web --field-selector="spec.nodeName=$1" --timeout=20s >/dev/null
  await 120 answers web "$(await 120 web_on "$1" .status.podIP)" 80
}

# hold NODE: notes its pods, and its boot; held NODE: it was booted since, and has the same pods with other containers. On its
# disk: /run is gone after a boot. CoreDNS may be put out of a node that is away for long, and is elsewhere then.
staying() {
  local namespace
  for namespace in default kube-system; do
    kubectl --namespace "$namespace" get pods --selector='!e2e,k8s-app!=kube-dns' --field-selector="spec.nodeName=$1" \
      --output "jsonpath={range .items[*]$2{\"\n\"}{end}"
  done | sort
}
pods_on() { staying "$1" '}{.metadata.name} {.metadata.uid}'; }
ids_on() { staying "$1" '.status.containerStatuses[*]}{.containerID}'; }
hold() {
  steady
  mkdir -p /var/lib/e2e
  pods_on "$1" >/var/lib/e2e/pods
  ids_on "$1" >/var/lib/e2e/ids
  get "node/$1" '{.status.nodeInfo.bootID}' >/var/lib/e2e/boot
  sync
  [ "$(wc -l </var/lib/e2e/pods)" -ge 2 ] || { echo "too few pods on $1:" && cat /var/lib/e2e/pods && return 1; } >&2
}
booted() { [ "$(get "node/$1" '{.status.nodeInfo.bootID}')" != "$(cat /var/lib/e2e/boot)" ]; }
# All run, and no container is one of before.
replaced() {
  local ids
  ids=$(ids_on "$1")
  same "$(comm -12 <(echo "$ids") /var/lib/e2e/ids)" ''
  same "$(wc -l <<<"$ids")" "$(wc -l </var/lib/e2e/ids)"
}
held() {
  await 1200 booted "$1"
  await 900 kubectl wait --for=condition=Ready "node/$1" --timeout=20s >/dev/null
  await 1200 replaced "$1"
  local namespace
  for namespace in default kube-system; do
    await 900 kubectl --namespace "$namespace" wait --for=condition=Ready pods --selector='!e2e,k8s-app!=kube-dns' --field-selector="spec.nodeName=$1" --timeout=20s >/dev/null
  done
  same "$(await 120 pods_on "$1")" "$(cat /var/lib/e2e/pods)"
  await 120 answers web "$(await 120 web_on "$1" .status.podIP)" 80
}
