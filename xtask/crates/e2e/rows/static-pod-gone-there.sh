rm /etc/kubernetes/manifests/lonely.yaml
