# Its pods by their UIDs, and its version.
steady
mkdir -p /run/e2e
pods_on $SECOND >/run/e2e/pods
get node/$SECOND '{.status.nodeInfo.kubeletVersion}' >/run/e2e/version
