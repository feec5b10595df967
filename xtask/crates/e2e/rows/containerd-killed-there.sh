before=$(pidof containerd)
kill -9 $before
back() { after=$(pidof containerd) && [ "$after" != "$before" ] && ctr version >/dev/null; }
await 120 back
# Whoever is asked for containers has to answer again before they can be compared.
await 120 crictl ps >/dev/null
