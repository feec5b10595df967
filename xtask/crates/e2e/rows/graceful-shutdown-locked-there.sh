# logind waits for the kubelet, and for as long as the kubelet wants.
locked() { has "$(systemd-inhibit --list --no-legend)" kubelet; }
await 300 locked
manager='org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager'
same "$(busctl get-property $manager InhibitDelayMaxUSec)" 't 30000000'
