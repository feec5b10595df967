# A server of NFS, version 4, for this machine alone; the root of what it serves is /srv/export.
mkdir -p /srv/export
echo '/srv/export 127.0.0.1(rw,no_root_squash,fsid=0)' >/etc/exports
modprobe nfsd
grep -q /proc/fs/nfsd /proc/mounts || mount -t nfsd nfsd /proc/fs/nfsd
exportfs -r
rpc.mountd --no-nfs-version 3
# New files wait until clients of an earlier server had time to come back: there is none.
rpc.nfsd --no-nfs-version 3 --grace-time 10 --lease-time 10 2
